/* SPDX-License-Identifier: Apache-2.0 */
/* What a document that breaks a parser could still do: burn its allowance of time and memory, and lie in what it
 * says. It has no network, no file to write, none of the person's files to read and no program to start.
 * landlock(7), seccomp(2), setrlimit(2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reader.h"

/* Fonts, character maps of Chinese PDFs, locales, modules of iconv: read only. */
static const char *const readable[] = { "/usr", "/lib", "/lib64", "/etc/fonts", "/etc/alternatives", "/app",
                                        "/run/host/fonts" };

static gboolean
limit (int what, guint64 value)
{
  const struct rlimit both = { value, value };
  return setrlimit (what, &both) == 0;
}

static gboolean
set_limits (void)
{
  gboolean ok = limit (RLIMIT_CPU, RDR_MAX_CPU_SECONDS) && limit (RLIMIT_CORE, 0) && limit (RLIMIT_NOFILE, 64);
#ifndef __SANITIZE_ADDRESS__ /* its shadow alone is larger */
  ok = ok && limit (RLIMIT_AS, RDR_MAX_MEMORY_BYTES + RDR_MAX_PLAIN_BYTES);
#endif
  return ok;
}

/* The ABI in force, 0 = none. Everything the kernel knows is handled, so everything is refused but reading below
 * the folders above. */
static int
set_landlock (gboolean may_execute)
{
  int abi = (int) syscall (SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1)
    return 0;
  /* Rights of ABI 1 are bits 0 to 12; 2 added REFER, 3 TRUNCATE, 5 IOCTL_DEV. */
  static const guint n_rights[] = { 0, 13, 14, 15, 15, 16 };
  struct landlock_ruleset_attr attr
      = { .handled_access_fs = (1ull << n_rights[MIN (abi, (int) G_N_ELEMENTS (n_rights) - 1)]) - 1 };
  int ruleset = (int) syscall (SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
  if (ruleset < 0)
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (readable); i++)
    {
      struct landlock_path_beneath_attr beneath
          = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
                                 | (may_execute ? LANDLOCK_ACCESS_FS_EXECUTE : 0),
              .parent_fd = open (readable[i], O_PATH | O_CLOEXEC) };
      if (beneath.parent_fd < 0)
        continue;
      syscall (SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
      close (beneath.parent_fd);
    }
  int rc = (int) syscall (SYS_landlock_restrict_self, ruleset, 0);
  close (ruleset);
  return rc == 0 ? abi : 0;
}

static gboolean
set_seccomp (gboolean may_execute)
{
  static const int refused[] = {
    SCMP_SYS (execve), SCMP_SYS (execveat), /* first: the two that may be allowed */
    SCMP_SYS (socket), SCMP_SYS (socketpair), SCMP_SYS (connect), SCMP_SYS (bind), SCMP_SYS (listen),
    SCMP_SYS (accept), SCMP_SYS (accept4), SCMP_SYS (fork), SCMP_SYS (vfork),
    SCMP_SYS (ptrace), SCMP_SYS (process_vm_readv), SCMP_SYS (process_vm_writev), SCMP_SYS (io_uring_setup),
    SCMP_SYS (bpf), SCMP_SYS (perf_event_open), SCMP_SYS (keyctl), SCMP_SYS (add_key), SCMP_SYS (request_key),
    SCMP_SYS (mount), SCMP_SYS (umount2), SCMP_SYS (unshare), SCMP_SYS (setns), SCMP_SYS (pidfd_getfd),
    SCMP_SYS (kill), SCMP_SYS (tkill), SCMP_SYS (truncate), SCMP_SYS (unlink), SCMP_SYS (unlinkat),
    SCMP_SYS (rename), SCMP_SYS (renameat), SCMP_SYS (renameat2), SCMP_SYS (mkdir), SCMP_SYS (mkdirat),
    SCMP_SYS (link), SCMP_SYS (linkat), SCMP_SYS (symlink), SCMP_SYS (symlinkat), SCMP_SYS (mknod),
    SCMP_SYS (mknodat), SCMP_SYS (chmod), SCMP_SYS (fchmodat), SCMP_SYS (chown), SCMP_SYS (fchownat), SCMP_SYS (creat),
  };
  const guint writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  if (filter == NULL)
    return FALSE;
  int rc = seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);
  for (guint i = may_execute ? 2 : 0; i < G_N_ELEMENTS (refused) && rc == 0; i++)
    {
      rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), refused[i], 0);
      if (rc == -EDOM) /* this machine has no such call */
        rc = 0;
    }
  /* Each flag that makes opening a file writing, where the kernel has no Landlock; /dev/null is not needed. */
  for (guint bit = 1; bit <= writing && rc == 0; bit <<= 1)
    if ((writing & bit) != 0)
      {
        rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EACCES), SCMP_SYS (open), 1,
                               SCMP_A1 (SCMP_CMP_MASKED_EQ, bit, bit));
        if (rc == 0 || rc == -EDOM)
          rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EACCES), SCMP_SYS (openat), 1,
                                 SCMP_A2 (SCMP_CMP_MASKED_EQ, bit, bit));
      }
  if (rc == 0)
    rc = seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS), SCMP_SYS (openat2), 0);
  if (rc == 0)
    rc = seccomp_load (filter);
  seccomp_release (filter);
  return rc == 0;
}

void
rdr_confine (RdrOut *out, gboolean may_execute)
{
  prctl (PR_SET_DUMPABLE, 0);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  gboolean limits = set_limits ();
  int landlock = set_landlock (may_execute);
  gboolean seccomp = set_seccomp (may_execute);
  if (out != NULL)
    rdr_out_confined (out, seccomp, landlock, limits);
}
