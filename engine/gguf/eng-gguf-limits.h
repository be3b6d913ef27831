/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit that the GGUF and safetensors readers hold a file to. A file past one of them is
 * refused with ENG_ERR_LIMIT and the limit's value in the text. All are far above what published
 * models use; they exist so that a small or hostile file cannot make the reader work or allocate
 * without end. */
#pragma once

#define ENG_GGUF_MAX_KEYS 65536u             /* metadata entries a file */
#define ENG_GGUF_MAX_KEY_BYTES 65535u        /* the specification's own */
#define ENG_GGUF_MAX_STRING_BYTES (16u << 20) /* one string value (templates are under 1 MiB) */
#define ENG_GGUF_MAX_ARRAY_ELEMENTS (1u << 27)
#define ENG_GGUF_MAX_ARRAY_STRINGS (1u << 24) /* strings or arrays in one array */
#define ENG_GGUF_MAX_ARRAY_DEPTH 4u          /* arrays in arrays; the outermost is depth 1 */
#define ENG_GGUF_MAX_METADATA_BYTES (256u << 20) /* all keys and values of a file */
#define ENG_GGUF_MAX_TENSORS 131072u         /* of a model, all its parts together */
#define ENG_GGUF_MAX_TENSOR_NAME 255u        /* bytes */
#define ENG_GGUF_MAX_DIMS 4u
#define ENG_GGUF_MIN_ALIGNMENT 8u /* so that every number in an aligned tensor is aligned */
#define ENG_GGUF_MAX_ALIGNMENT (1u << 20)
#define ENG_GGUF_MAX_PARTS 512u              /* files of a split model; each keeps a descriptor */

#define ENG_SAFETENSORS_MAX_HEADER (16u << 20) /* bytes of one file's JSON (models have under 2 MiB) */
#define ENG_SAFETENSORS_MAX_INDEX (64u << 20)  /* bytes of model.safetensors.index.json */
#define ENG_SAFETENSORS_MAX_TENSORS (1u << 18) /* of a model */
#define ENG_SAFETENSORS_MAX_DIMS 8u
#define ENG_SAFETENSORS_MAX_NAME 512u /* bytes */
#define ENG_SAFETENSORS_MAX_PARTS 1024u
