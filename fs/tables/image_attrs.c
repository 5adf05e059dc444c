/* The settings of images, and what their imports find: one row each. See attr.h, image.h. */
#include "fs/image/image.h"

#define SETTING(f) .offset = offsetof(struct image_settings, f)
#define FOUND(f)   .offset = offsetof(struct image_found, f)

static const char *const type_words[] = {
	[IMAGE_AUTO] = "auto", [IMAGE_DIRECTORY] = "directory", [IMAGE_TAR] = "tar",
	[IMAGE_OCI] = "oci",   [IMAGE_SQUASHFS] = "squashfs",	[IMAGE_EROFS] = "erofs",
	[IMAGE_TYPES] = NULL,
};

static const struct attr setting_rows[] = {
	{ .name = "source",
	  .type = &attr_path,
	  SETTING(source),
	  .flags = ATTR_ANY_PATH,
	  .doc = "What it is imported from: a directory or a file of the host, opened as the owner "
		 "when the import begins.",
	  .good = "/etc/passwd",
	  .bad = "rootfs.tar" },
	{ .name = "source.ref",
	  .type = &attr_string,
	  SETTING(ref),
	  .max = 255,
	  .doc = "Which image of an OCI layout: its org.opencontainers.image.ref.name. When empty, "
		 "the only one, or the only one for this kind of CPU.",
	  .good = "latest",
	  .bad = "a\001b" },
	{ .name = "source.digest",
	  .type = &attr_string,
	  SETTING(digest),
	  .max = 71,
	  .doc = "The digest that the source must have, as file digest shows it: else the import "
		 "fails. When empty, any.",
	  .bad = "a\001b" },
	{ .name = "type",
	  .type = &attr_word,
	  SETTING(type),
	  .words = type_words,
	  .initial = "auto",
	  .doc = "What the source is: a directory that is copied; a tar archive, as it is or "
		 "packed "
		 "with gzip, xz or zstd; an OCI image layout, a directory or an archive of one "
		 "that "
		 "is not packed, whose layers are checked by their digests; or a squashfs or erofs "
		 "file, which is kept, and mounted by the kernel when a container starts: that is "
		 "for "
		 "root's images only, since the kernel has to trust what is in it.",
	  .good = "oci",
	  .bad = "zip" },
	{ .name = "size.max",
	  .type = &attr_size,
	  SETTING(size_max),
	  .min = 0,
	  .max = LIMIT_MAX,
	  .initial = "16G",
	  .doc = "How many bytes of files it may have when it is unpacked: an import of more "
		 "fails.",
	  .good = "1G",
	  .bad = "large" },
	{ COMMON_LABEL, SETTING(label) },
};

static const struct attr found_rows[] = {
	{ .name = "kind",
	  .type = &attr_word,
	  FOUND(type),
	  .words = type_words,
	  .initial = "auto",
	  .doc = "What the source was." },
	{ .name = "digest",
	  .type = &attr_string,
	  FOUND(digest),
	  .max = 71,
	  .doc = "Of the source: sha256 of an OCI image's manifest, of the file; of a directory "
		 "that "
		 "of what is in it. Names, types, modes, owners and data count, times do not." },
	{ .name = "digest.tree",
	  .type = &attr_string,
	  FOUND(tree),
	  .max = 71,
	  .doc = "Of what was unpacked, as of a directory: what verify compares with." },
	{ .name = "size",
	  .type = &attr_number,
	  FOUND(bytes),
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "Bytes of data in its files." },
	{ .name = "entries",
	  .type = &attr_number,
	  FOUND(entries),
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "How many files, directories and links were unpacked." },
	{ .name = "left_out.devices",
	  .type = &attr_number,
	  FOUND(devices),
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "How many device nodes and sockets of the source were left out: a container has a "
		 "/dev of its own." },
	{ .name = "left_out.xattrs",
	  .type = &attr_number,
	  FOUND(xattrs),
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "How many extended attributes were left out: those that mean something to the "
		 "host, "
		 "and those that the file system of the state directory cannot hold. "
		 "File capabilities and user.* are kept where it can." },
	{ .name = "left_out.owners",
	  .type = &attr_number,
	  FOUND(owners),
	  .max = LIMIT_MAX,
	  .initial = "0",
	  .doc = "How many owners could not be kept, since the daemon is not root's." },
	{ .name = "entrypoint",
	  .type = &attr_argv,
	  FOUND(entrypoint),
	  .max = 32768,
	  .doc = "Of an OCI image: the command that it runs, before cmd. A container with this "
		 "root "
		 "whose init is empty runs both." },
	{ .name = "cmd",
	  .type = &attr_argv,
	  FOUND(cmd),
	  .max = 32768,
	  .doc = "Likewise: the command, or the arguments of entrypoint." },
	{ .name = "env",
	  .type = &attr_env,
	  FOUND(env),
	  .max = 4095,
	  .doc = "Likewise: its environment. The container's init.env goes before it." },
	{ .name = "workdir",
	  .type = &attr_path,
	  FOUND(workdir),
	  .doc = "Likewise: the working directory, for a container that runs this command." },
	{ .name = "user",
	  .type = &attr_string,
	  FOUND(user),
	  .max = 255,
	  .doc = "Likewise: the user, and behind a colon the group." },
	{ .name = "user.ids",
	  .type = &attr_string,
	  FOUND(user_ids),
	  .max = 63,
	  .doc = "Likewise: UID:GID of user, by the image's own /etc/passwd and /etc/group." },
	{ .name = "stop.signal",
	  .type = &attr_string,
	  FOUND(stop_signal),
	  .max = 63,
	  .doc = "Likewise: the signal that asks its program to end." },
	{ .name = "platform",
	  .type = &attr_string,
	  FOUND(platform),
	  .max = 63,
	  .doc = "Likewise: OS/CPU that it is for." },
};

#define TABLE(rows)                                  \
	{                                            \
		rows, sizeof(rows) / sizeof(rows[0]) \
	}

static const struct attr_table settings = TABLE(setting_rows), found = TABLE(found_rows);

const struct schema image_schema = { "image", sizeof(struct image_settings), { &settings, NULL } };
const struct schema image_found_schema = { "image", sizeof(struct image_found), { &found, NULL } };
