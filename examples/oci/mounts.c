/* config.json's mounts and devices: see oci.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "examples/oci/oci.h"

/* What every container of the tree has there, as the specification's default filesystems. */
static const struct place {
	const char *target, *type;
	const char *needs; /* an option that must be asked for, since it is so; or NULL */
} places[] = {
	{ "/proc", "proc", NULL },
	{ "/sys", "sysfs", "ro" },
	{ "/dev", "tmpfs", NULL },
	{ "/dev/pts", "devpts", NULL },
	{ "/dev/mqueue", "mqueue", NULL },
	{ "/sys/fs/cgroup", "cgroup", "ro" },
	{ "/sys/fs/cgroup", "cgroup2", "ro" },
};

/* Options that change nothing of these, as they are here. */
static const char *const places_options[] = {
	"nosuid",      "noexec",	"nodev",       "relatime",
	"strictatime", "private",	"rprivate",    "ro",
	"mode=755",    "mode=0755",	"size=65536k", "newinstance",
	"gid=5",       "ptmxmode=0666", "mode=0620",   "mode=620",
};

/* Such as are the default of any mount here. */
static const char *const plain_options[] = { "private",	 "rprivate", "relatime", "strictatime",
					     "defaults", "nodev",    "rw" };

/* The tree's: see mount/NAME/options in machinefs(5). */
static const char *const tree_options[] = { "bind",    "rbind",	     "ro",	   "nosuid",
					    "suid",    "dev",	     "noexec",	   "exec",
					    "noatime", "nodiratime", "nosymfollow" };
static const char *const tmpfs_options[] = { "size=", "nr_inodes=", "mode=", "uid=", "gid=" };

static bool among(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}
#define AMONG(word, list) among(word, list, sizeof(list) / sizeof((list)[0]))

static const char *option(const json_t *options, size_t i)
{
	const char *s = json_string_value(json_array_get(options, i));

	return s ? s : "";
}

static bool has_option(const json_t *options, const char *word)
{
	for (size_t i = 0; i < json_array_size(options); i++)
		if (!strcmp(option(options, i), word))
			return true;
	return false;
}

static int refuse_option(const char *path, const char *word, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "config.json: %s.options: \"%.60s\": %s", path, word, why);
}

/* What /dev/shm is in every container; with other options it is a tmpfs on that. */
static bool is_shm(const char *target, const char *type, const json_t *options)
{
	static const char *const shm[] = { "nosuid", "noexec", "nodev", "mode=1777",
					   "size=65536k" };

	if (strcmp(target, "/dev/shm") || strcmp(type, "tmpfs"))
		return false;
	for (size_t i = 0; i < json_array_size(options); i++)
		if (!AMONG(option(options, i), shm))
			return false;
	return true;
}

static int check_place(const struct place *p, const char *path, const json_t *options,
		       struct err *e)
{
	for (size_t i = 0; i < json_array_size(options); i++)
		if (!AMONG(option(options, i), places_options))
			return refuse_option(path, option(options, i),
					     "it is another there in every container", e);
	if (p->needs && !has_option(options, p->needs))
		return err_set(
			e, -EINVAL,
			"config.json: %s.options: %s is read-only in every container; say ro", path,
			p->target);
	return 0;
}

static const struct place *find_place(const char *target, const char *type)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!strcmp(places[i].target, target) && !strcmp(places[i].type, type))
			return &places[i];
	return NULL;
}

static bool known_option(const char *word, bool tmpfs)
{
	bool known = AMONG(word, plain_options) || AMONG(word, tree_options);

	for (size_t i = 0; tmpfs && i < sizeof(tmpfs_options) / sizeof(tmpfs_options[0]); i++)
		known |= !strncmp(word, tmpfs_options[i], strlen(tmpfs_options[i]));
	return known;
}

static int add_mount(struct spec *s, const char *path, const char *type, const char *source,
		     const char *target, const json_t *options, struct err *e)
{
	json_t *mounts = json_object_get(s->settings, "mount"), *m = json_object();
	struct text words = TEXT_INIT;
	char name[16], whole[PATH_MAX];

	for (size_t i = 0; i < json_array_size(options); i++)
		if (!known_option(option(options, i), !strcmp(type, "tmpfs"))) {
			json_decref(m);
			return refuse_option(path, option(options, i),
					     "machinefs has nothing for it", e);
		}
	/* Recursive is what bind is in the tree unless it says otherwise. */
	for (size_t i = 0; i < json_array_size(options); i++)
		if (!AMONG(option(options, i), plain_options))
			text_addf(&words, "%s%s", words.len ? "," : "", option(options, i));
	if (!strcmp(type, "bind")) {
		snprintf(whole, sizeof(whole), "%s", source);
		if (*source != '/')
			tree_path(whole, s->bundle, source);
		json_object_set_new(m, "source", json_string(whole));
	}
	json_object_set_new(m, "type", json_string(type));
	json_object_set_new(m, "target", json_string(target));
	json_object_set_new(m, "options", json_string(text_str(&words)));
	if (!mounts) {
		mounts = json_object();
		json_object_set_new(s->settings, "mount", mounts);
	}
	snprintf(name, sizeof(name), "m%02u", s->nmounts++);
	json_object_set_new(mounts, name, m);
	text_free(&words);
	return 0;
}

int spec_mount(struct spec *s, const char *path, const json_t *mount, struct err *e)
{
	static const struct key keys[] = {
		{ "uidMappings", key_refuse },
		{ "gidMappings", key_refuse },
		{ "destination", NULL },
		{ "type", NULL },
		{ "source", NULL },
		{ "options", NULL },
	};
	const char *target = json_text(mount, "destination"), *type = json_text(mount, "type");
	const json_t *options = json_object_get(mount, "options");
	bool bind = has_option(options, "bind") || has_option(options, "rbind");
	int rc = KEYS_TAKE(keys, NULL, path, mount, e);
	const struct place *place;

	if (rc < 0)
		return rc;
	if (*target != '/')
		return refuse(path, "destination: not an absolute path", e);
	if (bind || !strcmp(type, "bind"))
		return add_mount(s, path, "bind", json_text(mount, "source"), target, options, e);
	if (is_shm(target, type, options))
		return 0;
	place = find_place(target, type);
	if (place)
		return check_place(place, path, options, e);
	if (!strcmp(type, "tmpfs"))
		return add_mount(s, path, "tmpfs", "", target, options, e);
	return err_set(
		e, -EINVAL,
		"config.json: %s: \"%.40s\" on %.80s: the tree has bind and tmpfs, and its own "
		"/proc, /sys, /dev",
		path, type, target);
}

/* ---- devices ---- */

/* The nodes of every container, and what may be opened in it. */
static const struct node {
	json_int_t major, minor; /* -1: any */
	const char *path;
} nodes[] = {
	{ 1, 3, "/dev/null" },	  { 1, 5, "/dev/zero" },    { 1, 7, "/dev/full" },
	{ 1, 8, "/dev/random" },  { 1, 9, "/dev/urandom" }, { 5, 0, "/dev/tty" },
	{ 5, 1, "/dev/console" }, { 5, 2, "/dev/ptmx" },    { 136, -1, "" },
};

static const struct node *find_node(json_int_t major, json_int_t minor)
{
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		if (nodes[i].major == major && (nodes[i].minor < 0 || nodes[i].minor == minor))
			return &nodes[i];
	return NULL;
}

static json_int_t number(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* The access that the rules give to this very device, "" for none. */
static const char *allowed(const struct spec *s, const char *type, json_int_t major,
			   json_int_t minor)
{
	const json_t *rules =
		json_object_get(json_object_get(json_object_get(s->config, "linux"), "resources"),
				"devices");
	const char *access = "";

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *r = json_array_get(rules, i);

		if (!strcmp(json_text(r, "type"), type) && number(r, "major") == major &&
		    number(r, "minor") == minor)
			access = json_is_true(json_object_get(r, "allow")) ? json_text(r, "access")
									   : "";
	}
	return access;
}

static bool host_has(const char *path, const char *type, json_int_t major, json_int_t minor)
{
	struct stat st;

	return stat(path, &st) == 0 && (*type == 'b' ? S_ISBLK(st.st_mode) : S_ISCHR(st.st_mode)) &&
	       st.st_rdev == makedev((unsigned)major, (unsigned)minor);
}

/* A node that the common ones do not have is a device/NAME of the tree. */
static int add_device(struct spec *s, const char *which, const json_t *d, struct err *e)
{
	json_t *devices = json_object_get(s->settings, "device"), *part;
	const char *path = json_text(d, "path"), *type = json_text(d, "type"), *access;
	json_int_t major = number(d, "major"), minor = number(d, "minor"), mode;
	char name[16], text[64];

	type = !strcmp(type, "u") ? "c" : type;
	access = allowed(s, type, major, minor);
	if ((strcmp(type, "c") && strcmp(type, "b")) || major < 0 || minor < 0)
		return refuse(which, "not a character or block device", e);
	if (strncmp(path, "/dev/", 5))
		return refuse(which, "path: not below /dev", e);
	if (!devices) {
		devices = json_object();
		json_object_set_new(s->settings, "device", devices);
	}
	part = json_object();
	json_object_set_new(part, "path", json_string(path));
	if (!host_has(path, type, major, minor)) {
		snprintf(text, sizeof(text), "%s %lld:%lld", type, (long long)major,
			 (long long)minor);
		json_object_set_new(part, "number", json_string(text));
	}
	mode = number(d, "fileMode");
	snprintf(text, sizeof(text), "0%03llo",
		 mode < 0 ? 0666ULL : (unsigned long long)mode & 0777);
	json_object_set_new(part, "mode", json_string(text));
	snprintf(text, sizeof(text), "%lld",
		 (long long)json_integer_value(json_object_get(d, "uid")));
	json_object_set_new(part, "uid", json_string(text));
	snprintf(text, sizeof(text), "%lld",
		 (long long)json_integer_value(json_object_get(d, "gid")));
	json_object_set_new(part, "gid", json_string(text));
	json_object_set_new(part, "permissions", json_string(access));
	snprintf(name, sizeof(name), "d%02zu", json_object_size(devices));
	json_object_set_new(devices, name, part);
	return 0;
}

int spec_devices(void *arg, const char *path, const json_t *v, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const json_t *d = json_array_get(v, i);
		const struct node *n = find_node(number(d, "major"), number(d, "minor"));
		char which[160];

		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		if (!n || strcmp(n->path, json_text(d, "path")))
			rc = add_device(arg, which, d, e);
	}
	return rc;
}

/* That there is a node for it, which has got the rule's access: so the tree has the rule. */
static bool has_node(const json_t *config, const json_t *rule)
{
	const json_t *devices = json_object_get(json_object_get(config, "linux"), "devices");

	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *d = json_array_get(devices, i);

		if (number(d, "major") == number(rule, "major") &&
		    number(d, "minor") == number(rule, "minor"))
			return true;
	}
	return false;
}

/* All is forbidden but the common ones, those with a node, and making nodes, which nobody can open.
 */
int spec_device_rules(const json_t *config, const char *path, const json_t *rules, struct err *e)
{
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *r = json_array_get(rules, i);
		const char *access = json_text(r, "access");
		bool making = !strcmp(access, "m") && number(r, "major") < 0;
		bool common = strcmp(json_text(r, "type"), "b") &&
			      find_node(number(r, "major"), number(r, "minor"));

		if (json_is_true(json_object_get(r, "allow")) && !making && !common &&
		    !has_node(config, r))
			return err_set(
				e, -EINVAL,
				"config.json: %s[%zu]: beside the common devices a container "
				"may use those only that linux.devices names",
				path, i);
		if (!json_is_true(json_object_get(r, "allow")) && number(r, "major") >= 0 && common)
			return err_set(
				e, -EINVAL,
				"config.json: %s[%zu]: the common devices are always allowed", path,
				i);
	}
	return 0;
}
