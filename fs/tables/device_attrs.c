/* The settings of a device node in a container, device/NAME: see machine_attrs.c. */
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, device.field)

static const struct attr rows[] = {
	{ .name = "path",
	  .type = &attr_path,
	  AT(path),
	  .flags = ATTR_NODE_PATH,
	  .doc = "The node on the host, which the owner may read and write, such as /dev/fuse; in "
		 "the container it has the same path. Without a path there is no device; writing "
		 "one while the container runs makes the node, and rmdir takes it away.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "target",
	  .type = &attr_path,
	  AT(target),
	  .doc = "Its path in the container, if that is another; in either case one below /dev.",
	  .good = "/dev/net/tun",
	  .bad = "tun" },
	{ .name = "number",
	  .type = &attr_device_number,
	  AT(number),
	  .doc = "TYPE MAJOR:MINOR where the host has no such node: TYPE is c or b. Only root may "
		 "say so, and not where the container has a user namespace.",
	  .good = "c 10:229",
	  .bad = "10:229" },
	{ .name = "mode",
	  .type = &attr_mode,
	  AT(mode),
	  .min = 0,
	  .max = 0777,
	  .initial = "0666",
	  .doc = "The mode of the node, in octal. In a user namespace no node can be made: there "
		 "it "
		 "is the host's, with the host's mode and owner.",
	  .good = "0600",
	  .bad = "0888" },
	{ .name = "uid",
	  .type = &attr_number,
	  AT(uid),
	  .max = UINT32_MAX - 1,
	  .initial = "0",
	  .doc = "Whose the node is.",
	  .good = "1000",
	  .bad = "root" },
	{ .name = "gid",
	  .type = &attr_number,
	  AT(gid),
	  .max = UINT32_MAX - 1,
	  .initial = "0",
	  .doc = "The node's group.",
	  .good = "44",
	  .bad = "video" },
	{ .name = "permissions",
	  .type = &attr_permissions,
	  AT(permissions),
	  .flags = ATTR_LIVE,
	  .initial = "rw",
	  .doc = "What the container may do with the device, by whatever node: r read, w write, m "
		 "make further nodes, which it may of every device. What it has open stays open.",
	  .good = "rwm",
	  .bad = "rx" },
};

const struct attr_table device_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
