/* Loop devices: see loopdev.h. */
#include "backends/container/loopdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRIES 64 /* others look for a free one, too */

static int attach(int control, int file, bool readonly, char name[32])
{
	struct loop_config config = {
		.fd = (__u32)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0),
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE), fd, rc;

	if (number < 0)
		return -errno;
	snprintf(name, 32, "/dev/loop%d", number);
	fd = open(name, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int loopdev_attach(int file, bool readonly, char name[32], int *ret_fd, struct err *e)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -EBUSY;

	if (control < 0)
		return err_set(e, -ENXIO, "this host has no loop devices: /dev/loop-control: %s",
			       strerror(errno));
	for (int i = 0; i < TRIES && fd == -EBUSY; i++)
		fd = attach(control, file, readonly, name);
	close(control);
	if (fd < 0)
		return err_sys(e, -fd, "loop device");
	*ret_fd = fd;
	return 0;
}

int loopdev_grown(int fd, struct err *e)
{
	return ioctl(fd, LOOP_SET_CAPACITY, 0) < 0 ? err_sys(e, errno, "loop device") : 0;
}
