/* Loop devices: a file as a block device. loop(4). */
#ifndef BACKENDS_CONTAINER_LOOPDEV_H
#define BACKENDS_CONTAINER_LOOPDEV_H

#include <stdbool.h>

#include "backends/base/err.h"

/*
 * A free device for the file; its path is put into name. It goes when the last who has it open or
 * mounted does: *ret_fd is the caller's. ENXIO where the host has none.
 */
int loopdev_attach(int file, bool readonly, char name[32], int *ret_fd, struct err *e);
/* The file has grown. */
int loopdev_grown(int fd, struct err *e);

#endif
