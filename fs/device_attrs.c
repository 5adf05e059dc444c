/* The settings of a device node in a container, device/NAME: see machine_attrs.c. */
#include "fs/part_type.h"

#define AT(field) .offset = offsetof(struct part, device.field)

static const struct attr rows[] = {
	{ .name = "path",
	  .type = &attr_path,
	  AT(path),
	  .flags = ATTR_LIVE | ATTR_NODE_PATH,
	  .doc = "The node in the container, such as /dev/fuse; without a number it is that of the "
		 "host of the same path, which the owner may open. Without a path there is no "
		 "device. With one the container does not start, and while it runs none is taken: "
		 "ENXIO, as the engine makes no nodes so far.",
	  .good = "/dev/null",
	  .bad = "null" },
	{ .name = "number",
	  .type = &attr_device_number,
	  AT(number),
	  .doc = "TYPE MAJOR:MINOR where the host has no such node: TYPE is c or b. Only root may "
		 "say so.",
	  .good = "c 10:229",
	  .bad = "10:229" },
	{ .name = "mode",
	  .type = &attr_mode,
	  AT(mode),
	  .min = 0,
	  .max = 0777,
	  .initial = "0666",
	  .doc = "The mode of the node, in octal.",
	  .good = "0600",
	  .bad = "0888" },
	{ .name = "permissions",
	  .type = &attr_permissions,
	  AT(permissions),
	  .flags = ATTR_LIVE,
	  .initial = "rw",
	  .doc = "What the container may do with it: r read, w write, m make further nodes of it.",
	  .good = "rwm",
	  .bad = "rx" },
};

const struct attr_table device_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
