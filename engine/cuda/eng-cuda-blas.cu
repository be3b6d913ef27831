// SPDX-License-Identifier: Apache-2.0
// cuBLAS for large prefill products, opened at run time: the module works without it.
#include <dlfcn.h>
#include <stdlib.h>

#include <cublas_v2.h>

#include "eng-cuda-private.h"

struct CuBlas
{
  void *library;
  cublasHandle_t handle;
  cublasStatus_t (*create) (cublasHandle_t *);
  cublasStatus_t (*destroy) (cublasHandle_t);
  cublasStatus_t (*set_stream) (cublasHandle_t, cudaStream_t);
  cublasStatus_t (*set_workspace) (cublasHandle_t, void *, size_t);
  cublasStatus_t (*gemm) (cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                          const void *, const void *, cudaDataType, int, const void *,
                          cudaDataType, int, const void *, void *, cudaDataType, int,
                          cublasComputeType_t, cublasGemmAlgo_t);
  cublasStatus_t (*gemm_heads) (cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void *,
                                const void *, cudaDataType, int, long long, const void *, cudaDataType, int, long long,
                                const void *, void *, cudaDataType, int, long long, int, cublasComputeType_t,
                                cublasGemmAlgo_t);
};

#define STRING_(x) #x
#define STRING(x) STRING_ (x)

CuBlas *
cu_blas_open (void)
{
  // the major version that the headers were made for, as its soname says
  static const char *const names[]
      = { "libcublas.so." STRING (CUBLAS_VER_MAJOR),
          "/usr/local/cuda/lib64/libcublas.so." STRING (CUBLAS_VER_MAJOR) };
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof names[0]; i++)
    library = dlopen (names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return NULL;
  CuBlas *b = (CuBlas *) calloc (1, sizeof *b);
  if (b)
    {
      b->library = library;
      *(void **) &b->create = dlsym (library, "cublasCreate_v2");
      *(void **) &b->destroy = dlsym (library, "cublasDestroy_v2");
      *(void **) &b->set_stream = dlsym (library, "cublasSetStream_v2");
      *(void **) &b->set_workspace = dlsym (library, "cublasSetWorkspace_v2");
      *(void **) &b->gemm = dlsym (library, "cublasGemmEx");
      *(void **) &b->gemm_heads = dlsym (library, "cublasGemmStridedBatchedEx");
      if (b->create && b->destroy && b->set_stream && b->set_workspace && b->gemm && b->gemm_heads
          && b->create (&b->handle) == CUBLAS_STATUS_SUCCESS)
        return b;
      free (b);
    }
  dlclose (library);
  return NULL;
}

void
cu_blas_close (CuBlas *blas)
{
  if (!blas)
    return;
  blas->destroy (blas->handle);
  dlclose (blas->library);
  free (blas);
}

// column-major: y^T [n, m] = w [n, k] x^T [k, m]
static int
product (CuBlas *blas, CuStream s, int m, int n, int k, const void *x, const void *w,
         cudaDataType type, float *y, int ldy, float beta, void *workspace, size_t workspace_bytes)
{
  const float one = 1.f;
  cublasStatus_t e = blas->set_stream (blas->handle, s);
  if (e == CUBLAS_STATUS_SUCCESS)
    e = blas->set_workspace (blas->handle, workspace, workspace_bytes);
  if (e == CUBLAS_STATUS_SUCCESS)
    e = blas->gemm (blas->handle, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, w, type, k, x, type, k,
                    &beta, y, CUDA_R_32F, ldy, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  return (int) e;
}

int
cu_blas_product (CuBlas *blas, CuStream s, int m, int n, int k, const __nv_bfloat16 *x,
                 const __nv_bfloat16 *w, float *y, int ldy, float beta, void *workspace,
                 size_t workspace_bytes)
{
  return product (blas, s, m, n, k, x, w, CUDA_R_16BF, y, ldy, beta, workspace, workspace_bytes);
}

int
cu_blas_product_f32 (CuBlas *blas, CuStream s, int m, int n, int k, const float *x, const float *w,
                     float *y, int ldy, float beta, void *workspace, size_t workspace_bytes)
{
  return product (blas, s, m, n, k, x, w, CUDA_R_32F, y, ldy, beta, workspace, workspace_bytes);
}

int
cu_blas_heads (CuBlas *blas, CuStream s, const CuHeadProducts *p, void *workspace, size_t workspace_bytes)
{
  const float one = 1.f, zero = 0.f;
  const cudaDataType type = (cudaDataType) p->type;
  cublasStatus_t e = blas->set_stream (blas->handle, s);
  if (e == CUBLAS_STATUS_SUCCESS)
    e = blas->set_workspace (blas->handle, workspace, workspace_bytes);
  if (e == CUBLAS_STATUS_SUCCESS)
    e = blas->gemm_heads (blas->handle, p->turned ? CUBLAS_OP_N : CUBLAS_OP_T, CUBLAS_OP_N, p->n, p->m, p->k, &one, p->w, type,
                          p->turned ? p->n : p->k, (long long) p->n * p->k, p->x, type, p->ldx, p->x_head, &zero, p->y,
                          CUDA_R_32F, p->ldy, p->y_head, p->n_heads, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  return (int) e;
}
