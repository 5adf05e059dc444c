/*
 * RUN/UUID.vsock: the directory of a running VM's virtio-vsock sockets (vmm/virtio/virtio_vsock.h),
 * its owner's. It comes with the run and goes with it; the link `vsock` in the tree leads there.
 */
#ifndef FS_MACHINE_VSOCK_DIR_H
#define FS_MACHINE_VSOCK_DIR_H

#include "backends/base/err.h"
#include "backends/base/text.h"

struct machine;

/* Makes it. The descriptor leads nowhere else, where the kernel lets it be a mount of its own. */
int vsock_dir_open(const struct machine *m, int *ret_fd, struct err *e);
/* With the sockets in it; nothing when it is not there. */
void vsock_dir_remove(const struct machine *m);
/* Its path, or "nowhere" while there is none. */
void vsock_dir_print(const struct machine *m, struct text *out);

#endif
