/*
 * fuse_floor DIR: the least FUSE file system, mounted on DIR until it is unmounted: one file,
 * `file`, of one line, with direct I/O and attributes that the kernel keeps. No daemon that shows
 * something as files can be faster.
 */
#include <linux/fuse.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "bench.h"

static const char line[] = "1024\n";

static void answer(int fd, uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len),
				       .error = -error,
				       .unique = unique };
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)body, len } };

	if (writev(fd, iov, 2) < 0 && errno != ENOENT)
		give_up("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	if (node == FUSE_ROOT_ID)
		return (struct fuse_attr){ .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 };
	return (struct fuse_attr){ .ino = 2, .mode = S_IFREG | 0644, .nlink = 1, .size = 5 };
}

static void serve(int fd, const struct fuse_in_header *in)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = 31,
				      .max_write = 4096 };
	struct fuse_entry_out entry = {
		.nodeid = 2, .entry_valid = 1 << 20, .attr_valid = 1 << 20, .attr = attributes(2)
	};
	struct fuse_attr_out attr = { .attr_valid = 1 << 20, .attr = attributes(in->nodeid) };
	struct fuse_open_out open = { .open_flags = FOPEN_DIRECT_IO };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(fd, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(fd, in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(fd, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fd, in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		answer(fd, in->unique, 0, line, sizeof(line) - 1);
		break;
	case FUSE_RELEASE:
		answer(fd, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char message[1 << 17];
	char options[64];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (argc != 2)
		return 2;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("floor", argv[1], "fuse.floor", MS_NOSUID | MS_NODEV, options) < 0)
		give_up(argv[1]);
	for (;;) {
		if (read(fd, message, sizeof(message)) >= 0)
			serve(fd, (const struct fuse_in_header *)message);
		else if (errno == ENODEV)
			return 0;
		else if (errno != EINTR && errno != ENOENT && errno != EAGAIN)
			give_up("read");
	}
}
