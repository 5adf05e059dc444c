/* A bundle's config.json as settings of the tree: the document, root, linux. See oci.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "examples/oci/oci.h"

/* ---- JSON ---- */

int refuse(const char *path, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "config.json: %s: %s", path, why);
}

static bool says_nothing(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       ((json_is_array(v) || json_is_object(v)) &&
		json_array_size(v) + json_object_size(v) == 0);
}

int key_refuse(void *arg, const char *path, const json_t *v, struct err *e)
{
	return says_nothing(v) ? 0 : refuse(path, "machinefs has nothing for it", e);
}

static const struct key *key_find(const struct key *keys, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

int keys_take(const struct key *keys, size_t n, void *arg, const char *path, const json_t *object,
	      struct err *e)
{
	const char *name;
	json_t *value;
	int rc = 0;

	if (!json_is_object(object))
		return refuse(path, "not an object", e);
	json_object_foreach((json_t *)object, name, value)
	{
		const struct key *key = key_find(keys, n, name);
		char whole[256];

		snprintf(whole, sizeof(whole), "%s%s%.80s", path, *path ? "." : "", name);
		if (key && key->take && !json_is_null(value))
			rc = key->take(arg, whole, value, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

const char *json_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

int json_number(const json_t *value, const char *path, json_int_t *ret, struct err *e)
{
	if (!json_is_integer(value))
		return refuse(path, "not a number", e);
	*ret = json_integer_value(value);
	return 0;
}

static void set(struct spec *s, const char *name, const char *value)
{
	json_object_set_new(s->settings, name, json_string(value));
}

static int take_text(struct spec *s, const char *name, const char *path, const json_t *v,
		     struct err *e)
{
	if (!json_is_string(v))
		return refuse(path, "not a string", e);
	set(s, name, json_string_value(v));
	return 0;
}

/* ---- root, hostname ---- */

static int root_path(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct spec *s = arg;
	const char *root = json_string_value(v);
	char whole[PATH_MAX], *real;

	if (!root || !*root)
		return refuse(path, "not a path", e);
	if (*root == '/')
		snprintf(whole, sizeof(whole), "%s", root);
	else
		tree_path(whole, s->bundle, root);
	real = realpath(whole, NULL);
	if (!real)
		return err_sys(e, errno, "config.json: %s: %s", path, whole);
	set(s, "root", real);
	free(real);
	return 0;
}

static int root_readonly(void *arg, const char *path, const json_t *v, struct err *e)
{
	set(arg, "root.writable", json_is_true(v) ? "none" : "direct");
	return 0;
}

static int take_root(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = { { "path", root_path }, { "readonly", root_readonly } };

	return KEYS_TAKE(keys, arg, path, v, e);
}

static int take_hostname(void *arg, const char *path, const json_t *v, struct err *e)
{
	return take_text(arg, "hostname", path, v, e);
}

static int take_version(void *arg, const char *path, const json_t *v, struct err *e)
{
	const char *version = json_string_value(v);

	return version && !strncmp(version, "1.", 2)
		       ? 0
		       : refuse(path, "only versions 1.x are known", e);
}

static int take_process(void *arg, const char *path, const json_t *v, struct err *e)
{
	return spec_process(arg, path, v, e);
}

static int take_mounts(void *arg, const char *path, const json_t *v, struct err *e)
{
	int rc = json_is_array(v) ? 0 : refuse(path, "not an array", e);

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		char which[160];

		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		rc = spec_mount(arg, which, json_array_get(v, i), e);
	}
	return rc;
}

/* ---- linux ---- */

static int take_uid_map(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_t *map = json_object();
	struct spec *s = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const json_t *m = json_array_get(v, i);
		json_int_t inside = 0, outside = 0, count = 0;
		char key[32], value[64];

		rc = json_number(json_object_get(m, "containerID"), path, &inside, e);
		if (rc == 0)
			rc = json_number(json_object_get(m, "hostID"), path, &outside, e);
		if (rc == 0)
			rc = json_number(json_object_get(m, "size"), path, &count, e);
		if (rc < 0)
			break;
		snprintf(key, sizeof(key), "%lld", (long long)inside);
		snprintf(value, sizeof(value), "%lld %lld", (long long)outside, (long long)count);
		json_object_set_new(map, key, json_string(value));
	}
	if (rc == 0)
		json_object_set(s->settings, "user.map", map);
	json_decref(map);
	return rc;
}

static int take_gid_map(void *arg, const char *path, const json_t *v, struct err *e)
{
	const struct spec *s = arg;
	const json_t *uids = json_object_get(json_object_get(s->config, "linux"), "uidMappings");

	return json_equal(uids, v)
		       ? 0
		       : refuse(path,
				"users and groups have the same map here, so it must be "
				"that of uidMappings",
				e);
}

/* Those that are set so far. */
static json_t *sysctls(struct spec *s)
{
	json_t *so_far = json_object_get(s->settings, "sysctl");

	if (!so_far) {
		so_far = json_object();
		json_object_set_new(s->settings, "sysctl", so_far);
	}
	return so_far;
}

static int take_sysctl(void *arg, const char *path, const json_t *v, struct err *e)
{
	return json_object_update(sysctls(arg), (json_t *)v) < 0 ? refuse(path, "no object", e) : 0;
}

static int take_domainname(void *arg, const char *path, const json_t *v, struct err *e)
{
	if (!json_is_string(v))
		return refuse(path, "not a string", e);
	if (*json_string_value(v))
		json_object_set(sysctls(arg), "kernel.domainname", (json_t *)v);
	return 0;
}

static int take_resources(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct spec *s = arg;

	char rules[160];
	int rc;

	snprintf(rules, sizeof(rules), "%s.devices", path);
	rc = spec_device_rules(s->config, rules, json_object_get(v, "devices"), e);
	return rc < 0 ? rc : spec_resources(s->settings, path, v, e);
}

static int take_paths(struct spec *s, const char *name, const char *path, const json_t *v,
		      struct err *e)
{
	struct text words = TEXT_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const char *word = json_string_value(json_array_get(v, i));

		if (!word || strchr(word, ' '))
			rc = refuse(path, "a path with a space, or none", e);
		else
			text_addf(&words, "%s%s", i ? " " : "", word);
	}
	if (rc == 0)
		set(s, name, text_str(&words));
	text_free(&words);
	return rc;
}

static int take_masked(void *arg, const char *path, const json_t *v, struct err *e)
{
	return take_paths(arg, "paths.masked", path, v, e);
}

static int take_readonly(void *arg, const char *path, const json_t *v, struct err *e)
{
	return take_paths(arg, "paths.readonly", path, v, e);
}

static int take_propagation(void *arg, const char *path, const json_t *v, struct err *e)
{
	const char *word = json_string_value(v);

	return word && (!*word || !strcmp(word, "private") || !strcmp(word, "rprivate"))
		       ? 0
		       : refuse(path, "a container's mounts are private", e);
}

static int take_mount_label(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct spec *s = arg;

	json_object_set(s->settings, "selinux.files", (json_t *)v);
	return 0;
}

static int take_seccomp(void *arg, const char *path, const json_t *v, struct err *e)
{
	((struct spec *)arg)->seccomp = v;
	return 0;
}

static int take_personality(void *arg, const char *path, const json_t *v, struct err *e)
{
	return !strcmp(json_text(v, "domain"), "LINUX") &&
			       json_array_size(json_object_get(v, "flags")) == 0
		       ? 0
		       : refuse(path, "only LINUX", e);
}

static int take_linux(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "namespaces", spec_namespaces },
		{ "uidMappings", take_uid_map },
		{ "gidMappings", take_gid_map },
		{ "sysctl", take_sysctl },
		{ "resources", take_resources },
		{ "devices", spec_devices },
		{ "seccomp", take_seccomp },
		{ "maskedPaths", take_masked },
		{ "readonlyPaths", take_readonly },
		{ "rootfsPropagation", take_propagation },
		{ "personality", take_personality },
		{ "cgroupsPath", NULL }, // the tree has its own groups
		{ "mountLabel", take_mount_label },
		{ "intelRdt", key_refuse },
		{ "timeOffsets", key_refuse },
		{ "netDevices", key_refuse },
		{ "memoryPolicy", key_refuse },
	};

	return KEYS_TAKE(keys, arg, path, v, e);
}

/* ---- all of it ---- */

/* What the specification's default is where the tree has another. */
static void spec_defaults(struct spec *s)
{
	static const char *const defaults[][2] = {
		{ "root.writable", "direct" },
		{ "namespaces", "" },
		{ "capabilities", "" },
		{ "seccomp", "none" },
		{ "no_new_privs", "0" },
		{ "paths.masked", "" },
		{ "paths.readonly", "" },
		{ "oom.score", "0" },
		{ "apparmor", "" },
		{ "selinux", "" },
		{ "io.priority", "4" },
		{ "cpu.nice", "0" },
		{ "cpu.scheduler", "other" },
		{ "capabilities.ambient", "" },
		{ "init.umask", "0022" },
	};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		set(s, defaults[i][0], defaults[i][1]);
	json_object_set_new(s->settings, "rlimit", json_object());
}

/* Who is uid in the container, on the host. */
static json_int_t mapped(const struct spec *s, const char *kind, json_int_t id)
{
	const json_t *maps = json_object_get(json_object_get(s->config, "linux"), kind);

	for (size_t i = 0; i < json_array_size(maps); i++) {
		const json_t *m = json_array_get(maps, i);
		json_int_t from = json_integer_value(json_object_get(m, "containerID"));

		if (id >= from && id - from < json_integer_value(json_object_get(m, "size")))
			return id - from + json_integer_value(json_object_get(m, "hostID"));
	}
	return id;
}

static int spec_take(struct spec *s, struct err *e)
{
	static const struct key keys[] = {
		{ "ociVersion", take_version },
		{ "process", take_process },
		{ "root", take_root },
		{ "hostname", take_hostname },
		{ "domainname", take_domainname },
		{ "mounts", take_mounts },
		{ "hooks", spec_hooks },
		{ "linux", take_linux },
		{ "annotations", NULL }, // they are read where they are asked for
		{ "solaris", key_refuse },
		{ "windows", key_refuse },
		{ "vm", key_refuse },
		{ "zos", key_refuse },
		{ "freebsd", key_refuse },
	};
	int rc = KEYS_TAKE(keys, s, "", s->config, e);

	if (rc == 0 && !json_object_get(s->config, "process"))
		rc = refuse("process", "missing; there is nothing to run", e);
	if (rc == 0 && !json_object_get(s->settings, "root"))
		rc = refuse("root.path", "missing", e);
	s->host_uid = (uid_t)mapped(s, "uidMappings", s->uid);
	s->host_gid = (gid_t)mapped(s, "gidMappings", s->gid);
	return rc;
}

int spec_read(struct spec *s, const char *bundle, struct err *e)
{
	char path[PATH_MAX];
	int rc;

	*s = (struct spec){ .bundle = bundle, .settings = json_object(), .session = json_object() };
	rc = json_file(tree_path(path, bundle, "config.json"), &s->config, e);
	if (rc == 0) {
		spec_defaults(s);
		rc = spec_take(s, e);
	}
	if (rc < 0)
		spec_free(s);
	return rc;
}

void spec_free(struct spec *s)
{
	json_decref(s->config);
	json_decref(s->settings);
	json_decref(s->session);
	*s = (struct spec){ 0 };
}
