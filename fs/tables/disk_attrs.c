/* The settings of a disk, disk/NAME: see machine_attrs.c. */
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, disk.field)

static const char *const format_words[] = { "raw", "qcow2", NULL };
static const char *const cache_words[] = { "writeback", "none", "unsafe", NULL };

static const struct attr rows[] = {
	{ .name = "path",
	  .type = &attr_path,
	  AT(path),
	  .flags = ATTR_LIVE | ATTR_DISK_PATH,
	  .doc = "Where its content is: a regular file or a block device of the host. Without one "
		 "there is no disk; writing one while the machine runs plugs it in, and an empty "
		 "line unplugs it.",
	  .good = "/etc/passwd",
	  .bad = "disk.img" },
	{ .name = "format",
	  .type = &attr_word,
	  AT(format),
	  .words = format_words,
	  .initial = "raw",
	  .doc = "How the content is laid out there.",
	  .good = "raw",
	  .bad = "vmdk" },
	{ .name = "readonly",
	  .type = &attr_bool,
	  AT(readonly),
	  .initial = "0",
	  .doc = "Whether the guest can only read it. Then path is opened for reading only.",
	  .good = "1",
	  .bad = "ro" },
	{ .name = "size",
	  .type = &attr_size,
	  AT(size),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = 1ULL << 50,
	  .initial = "0",
	  .doc = "A regular file is made this large when it is smaller, at start or at once, and "
		 "the guest is told; it is never made smaller. 0 leaves it as it is.",
	  .good = "1G",
	  .bad = "max" },
	{ .name = "cache",
	  .type = &attr_word,
	  AT(cache),
	  .words = cache_words,
	  .initial = "writeback",
	  .doc = "What holds what was written: writeback is the host's page cache, and a flush of "
		 "the guest's goes to the disk; none goes around it (O_DIRECT); unsafe is as "
		 "writeback, but flushes are not done, for what may be lost.",
	  .good = "none",
	  .bad = "directsync" },
	{ .name = "serial",
	  .type = &attr_string,
	  AT(serial),
	  .max = 20,
	  .doc = "The serial number that the guest sees; when empty, the disk's name.",
	  .good = "0001-ROOT",
	  .bad = "longer-than-twenty-bytes" },
	{ .name = "queues",
	  .type = &attr_number,
	  AT(queues),
	  .min = 1,
	  .max = 64,
	  .initial = "1",
	  .doc = "How many queues it has; more than one only helps a guest with several vCPUs.",
	  .good = "2",
	  .bad = "0" },
	{ .name = "io.max",
	  .type = &attr_io_max,
	  AT(io_max),
	  .flags = ATTR_LIVE,
	  .initial = "rbps=max wbps=max riops=max wiops=max",
	  .doc = "How much may be read and written a second, in bytes and operations, and as "
		 "KEY.burst how much of it at once.",
	  .good = "wbps=10485760 riops=100 riops.burst=500",
	  .bad = "bps=1" },
	{ .name = "discard",
	  .type = &attr_bool,
	  AT(discard),
	  .initial = "1",
	  .doc = "Whether what the guest discards is given back to the host.",
	  .good = "0",
	  .bad = "unmap" },
};

const struct attr_table disk_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
