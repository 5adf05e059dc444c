/* The settings of a shared directory, share/NAME: see machine_attrs.c. */
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, share.field)

static const struct attr rows[] = {
	{ .name = "path",
	  .type = &attr_path,
	  AT(path),
	  .flags = ATTR_LIVE | ATTR_DIR_PATH,
	  .doc = "The directory of the host, with what is mounted below it. Without one there is "
		 "no "
		 "share; writing one while the machine runs plugs it in, and an empty line unplugs "
		 "it. It is served by a virtiofsd that runs as the machine's owner, in his main "
		 "group alone: the guest's root is he there, and unless he is root himself "
		 "files can belong to nobody else. When that process dies the machine goes on, "
		 "error says so, and the share can be unplugged and plugged anew.",
	  .good = "/",
	  .bad = "srv" },
	{ .name = "readonly",
	  .type = &attr_bool,
	  AT(readonly),
	  .initial = "0",
	  .doc = "Whether the guest can only read it.",
	  .good = "1",
	  .bad = "ro" },
};

const struct attr_table share_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
