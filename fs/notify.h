/*
 * What a service manager is told, by sd_notify(3)'s protocol: datagrams to $NOTIFY_SOCKET. Without
 * one nobody asks, and nothing is done.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

/*
 * Sends lines such as "READY=1" or "FDSTORE=1\nFDNAME=fuse", and with them nfds (at most
 * NOTIFY_FDS_MAX) descriptors, which stay the caller's. Never blocks. Returns 1 when it was sent, 0
 * when there is nobody to tell, -errno when it could not be.
 */
#define NOTIFY_FDS_MAX 16
int notify_send(const char *state, const int *fds, int nfds);

#endif
