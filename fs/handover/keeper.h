/*
 * The keeper: the parent of a daemon in the background, which starts it again when it was killed.
 *
 * It does for it what systemd does for a service with a file descriptor store, by the same
 * protocols (sd_notify(3), sd_listen_fds(3)): it keeps the descriptors of the mount, so that
 * clients of a daemon that dies wait and go on with the next one. It has nothing else to do, so
 * nothing else can go wrong in it.
 */
#ifndef FS_HANDOVER_KEEPER_H
#define FS_HANDOVER_KEEPER_H

#include "fs/options.h"

/*
 * Starts keeper and daemon in the background and returns main's result when the mount answers,
 * or when the daemon has failed and has said why on stderr.
 */
int keeper_start(const struct daemon_options *o);

#endif
