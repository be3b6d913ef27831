/* SPDX-License-Identifier: Apache-2.0 */
/* Strict offline: for the rest of its life the process, all of its threads and every child cannot open a
 * network socket. The kernel holds it, not an if: a seccomp filter over all threads refuses every family of
 * sockets but AF_UNIX (EACCES), io_uring_setup and pidfd_getfd (EPERM), which would get sockets by other ways,
 * and system calls of foreign ABIs (EPERM). Sockets of other families that are open already are shut down.
 *
 * The switch is a plain file, $XDG_CONFIG_HOME/inglenook/offline, so that it can be read before any thread
 * exists. Turning it on works at once; turning it off counts from the next start on.
 *
 * What it does not do: a link that the person opens, opens in another program, which is not held. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* First thing in main, before any thread: takes `--offline` out of @argv where it stands before a subcommand
 * (behind one it is left to it, and counts as well), keeps GIO from handing files to its network daemon, and goes offline if asked by option or switch. FALSE with
 * @error if that was asked and cannot be done: the caller must then end the program. */
gboolean ing_offline_start (int *argc, char **argv, GError **error);

/* Offline now, for good. Any thread; done twice it is done once. ING_ERROR_UNSUPPORTED where the kernel cannot. */
gboolean ing_offline_enter (GError **error);

gboolean ing_offline_is_on (void);      /* of this process; any thread */
gboolean ing_offline_get_switch (void); /* what the next start will do */
/* Write the switch; on also enters. Main thread. */
gboolean ing_offline_set_switch (gboolean on, GError **error);

G_END_DECLS
