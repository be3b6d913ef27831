/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID leaves and XCR0 bits: Intel SDM volume 1 chapter 13 and volume 2 "CPUID"; the control groups'
 * files: Linux Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst. */
#include "eng-cpu-features.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#elif defined __aarch64__
#include <sys/auxv.h>
#endif

#if defined __x86_64__

static uint64_t
read_xcr0 (void)
{
  uint32_t lo, hi;
  __asm__ volatile (".byte 0x0f, 0x01, 0xd0" : "=a"(lo), "=d"(hi) : "c"(0));
  return (uint64_t) hi << 32 | lo;
}

/* Linux gives a process AMX's registers only on request (Documentation/arch/x86/xstate.rst). */
static bool
request_amx (void)
{
#ifdef SYS_arch_prctl
  return syscall (SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */) == 0;
#else
  return false;
#endif
}

uint32_t
eng_cpu_get_tiers (void)
{
  uint32_t a, b, c, d, tiers = 0;
  if (!__get_cpuid (1, &a, &b, &c, &d))
    return 0;
  bool osxsave = c >> 27 & 1, avx = c >> 28 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1,
       movbe = c >> 22 & 1;
  if (!osxsave || !avx)
    return 0;
  uint64_t xcr0 = read_xcr0 ();
  if ((xcr0 & 0x6) != 0x6) /* SSE and AVX registers saved by the system */
    return 0;
  uint32_t b7, c7, d7, a71 = 0, unused_b, unused_c, unused_d, a7;
  if (!__get_cpuid_count (7, 0, &a7, &b7, &c7, &d7))
    return 0;
  if (a7 >= 1)
    __get_cpuid_count (7, 1, &a71, &unused_b, &unused_c, &unused_d);
  bool avx2 = b7 >> 5 & 1, bmi1 = b7 >> 3 & 1, bmi2 = b7 >> 8 & 1;
  if (!(avx2 && bmi1 && bmi2 && fma && f16c && movbe))
    return 0;
  tiers |= ENG_CPU_TIER_AVX2;
  if (a71 >> 4 & 1)
    tiers |= ENG_CPU_TIER_AVX_VNNI;
  if ((xcr0 & 0xe0) != 0xe0) /* mask registers and the upper halves */
    return tiers;
  const uint32_t v4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F DQ CD BW VL */
  if ((b7 & v4) != v4)
    return tiers;
  tiers |= ENG_CPU_TIER_AVX512;
  if (c7 >> 11 & 1)
    {
      tiers |= ENG_CPU_TIER_AVX512_VNNI;
      if (a71 >> 5 & 1)
        tiers |= ENG_CPU_TIER_AVX512_BF16;
      if ((xcr0 & 0x60000) == 0x60000 && (d7 >> 24 & 1) && (d7 >> 25 & 1) && (d7 >> 22 & 1)
          && request_amx ())
        tiers |= ENG_CPU_TIER_AMX;
    }
  return tiers;
}

#elif defined __aarch64__

uint32_t
eng_cpu_get_tiers (void)
{
  /* Bits: Linux arch/arm64/include/uapi/asm/hwcap.h */
  uint32_t tiers = ENG_CPU_TIER_NEON;
  if (getauxval (AT_HWCAP) >> 20 & 1)
    {
      tiers |= ENG_CPU_TIER_NEON_DOTPROD;
      if (getauxval (AT_HWCAP2) >> 13 & 1)
        tiers |= ENG_CPU_TIER_NEON_I8MM;
    }
  return tiers;
}

#else

uint32_t
eng_cpu_get_tiers (void)
{
  return 0;
}

#endif

const char *
eng_cpu_tier_get_name (uint32_t tier)
{
  switch (tier)
    {
    case 0:
      return "ref";
    case ENG_CPU_TIER_AVX2:
      return "avx2";
    case ENG_CPU_TIER_AVX_VNNI:
      return "avx-vnni";
    case ENG_CPU_TIER_AVX512:
      return "avx512";
    case ENG_CPU_TIER_AVX512_VNNI:
      return "avx512-vnni";
    case ENG_CPU_TIER_AVX512_BF16:
      return "avx512-bf16";
    case ENG_CPU_TIER_AMX:
      return "amx";
    case ENG_CPU_TIER_NEON:
      return "neon";
    case ENG_CPU_TIER_NEON_DOTPROD:
      return "neon-dotprod";
    case ENG_CPU_TIER_NEON_I8MM:
      return "neon-i8mm";
    default:
      return NULL;
    }
}

void
eng_cpu_get_name (char *name, uint32_t size)
{
  if (size == 0)
    return;
  name[0] = '\0';
  FILE *file = fopen ("/proc/cpuinfo", "re");
  if (file == NULL)
    return;
  char line[256];
  while (fgets (line, sizeof line, file) != NULL)
    {
      if (strncmp (line, "model name", 10) != 0)
        continue;
      char *text = strchr (line, ':');
      if (text == NULL)
        continue;
      text += 1 + strspn (text + 1, " \t");
      text[strcspn (text, "\n")] = '\0';
      snprintf (name, size, "%s", text);
      break;
    }
  fclose (file);
}

/* First number of a small file; false when there is none ("max" included). */
static bool
read_numbers (const char *path, long long *a, long long *b)
{
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return false;
  int n = fscanf (file, b != NULL ? "%lld %lld" : "%lld", a, b);
  fclose (file);
  return n == (b != NULL ? 2 : 1);
}

/* Quota of the group @group below @mount and of all groups above it, in cores. */
static double
group_quota (const char *mount, const char *group, bool v2, double quota)
{
  char path[1024], file[1200];
  if (snprintf (path, sizeof path, "%s%s", mount, group) >= (int) sizeof path)
    return quota;
  size_t root = strlen (mount);
  for (;;)
    {
      long long us = -1, period = 0;
      bool found;
      if (v2)
        {
          snprintf (file, sizeof file, "%s/cpu.max", path);
          found = read_numbers (file, &us, &period);
        }
      else
        {
          snprintf (file, sizeof file, "%s/cpu.cfs_quota_us", path);
          found = read_numbers (file, &us, NULL);
          snprintf (file, sizeof file, "%s/cpu.cfs_period_us", path);
          found = found && read_numbers (file, &period, NULL);
        }
      if (found && us > 0 && period > 0 && (double) us / (double) period < quota)
        quota = (double) us / (double) period;
      char *slash = strrchr (path, '/');
      if (slash == NULL || (size_t) (slash - path) < root)
        return quota;
      *slash = '\0';
    }
}

static double
cgroup_quota (double quota)
{
  FILE *file = fopen ("/proc/self/cgroup", "re");
  if (file == NULL)
    return quota;
  char line[1024];
  while (fgets (line, sizeof line, file) != NULL)
    {
      line[strcspn (line, "\n")] = '\0';
      char *controllers = strchr (line, ':');
      char *group = controllers != NULL ? strchr (controllers + 1, ':') : NULL;
      if (group == NULL)
        continue;
      *group++ = '\0';
      controllers++;
      /* In a container the group is often mounted as the root: then the named path is not there and
       * the walk upward ends at the mount itself. */
      if (*controllers == '\0')
        quota = group_quota ("/sys/fs/cgroup", group, true, quota);
      else if (strcmp (controllers, "cpu,cpuacct") == 0 || strcmp (controllers, "cpu") == 0
               || strcmp (controllers, "cpuacct,cpu") == 0)
        {
          quota = group_quota ("/sys/fs/cgroup/cpu", group, false, quota);
          quota = group_quota ("/sys/fs/cgroup/cpu,cpuacct", group, false, quota);
        }
    }
  fclose (file);
  return quota;
}

/* The first thread of @cpu's core, so that siblings count once; @cpu itself when unknown. */
static int
first_sibling (int cpu, const cpu_set_t *allowed)
{
  char path[96], list[128];
  snprintf (path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return cpu;
  if (fgets (list, sizeof list, file) == NULL)
    list[0] = '\0';
  fclose (file);
  for (char *p = list; *p != '\0';)
    {
      char *end;
      long first = strtol (p, &end, 10), last = first;
      if (end == p)
        break;
      if (*end == '-')
        last = strtol (end + 1, &end, 10);
      for (long i = first; i <= last && i < CPU_SETSIZE; i++)
        if (i >= 0 && CPU_ISSET ((int) i, allowed))
          return (int) i;
      p = *end == ',' ? end + 1 : end;
      if (end == p && *p != '\0' && *p != ',')
        break;
    }
  return cpu;
}

uint32_t
eng_cpu_default_threads (void)
{
  cpu_set_t allowed;
  uint32_t n = 0;
  CPU_ZERO (&allowed);
  if (sched_getaffinity (0, sizeof allowed, &allowed) == 0)
    {
      for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET (i, &allowed) && first_sibling (i, &allowed) == i)
          n++;
    }
  else
    {
      long online = sysconf (_SC_NPROCESSORS_ONLN);
      n = online > 0 ? (uint32_t) online : 1;
    }
  double quota = cgroup_quota ((double) n);
  /* A quota of 1.5 cores is worth two threads: each is then throttled a quarter of the time at worst,
   * while one thread would leave a third of the quota unused. */
  uint32_t by_quota = (uint32_t) (quota + 0.5);
  if (by_quota < n)
    n = by_quota;
  return n == 0 ? 1 : n;
}
