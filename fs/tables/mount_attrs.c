/* The settings of a mount in a container, mount/NAME: see machine_attrs.c. */
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, mount.field)

static const char *const type_words[] = { "bind", "tmpfs", NULL };

static const struct attr rows[] = {
	{ .name = "source",
	  .type = &attr_path,
	  AT(source),
	  .flags = ATTR_LIVE | ATTR_ANY_PATH,
	  .doc = "What is mounted: with type bind a directory or a file of the host.",
	  .good = "/",
	  .bad = "srv" },
	{ .name = "target",
	  .type = &attr_path,
	  AT(target),
	  .flags = ATTR_LIVE,
	  .doc = "Where in the container. Without one there is no mount; writing one while the "
		 "container runs mounts it there, and an empty line unmounts it.",
	  .good = "/data",
	  .bad = "data" },
	{ .name = "type",
	  .type = &attr_word,
	  AT(type),
	  .words = type_words,
	  .initial = "bind",
	  .doc = "What sort of file system: bind is a part of the host's, tmpfs a new one in "
		 "memory.",
	  .good = "tmpfs",
	  .bad = "ext4" },
	{ .name = "options",
	  .type = &attr_string,
	  AT(options),
	  .max = 1023,
	  .doc = "As those of mount(8), with commas between them.",
	  .good = "ro,nosuid",
	  .bad = "ro\001" },
};

const struct attr_table mount_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
