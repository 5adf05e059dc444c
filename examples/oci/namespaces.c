/*
 * linux.namespaces of config.json: those of its own, and those that it joins by a path. See oci.h.
 *
 * A path of /proc is that of a process. Who made a container by us knows its keeper's number, whose
 * own namespaces are the host's: so what is meant is the container, which the tree joins by its
 * name. Other paths the tree opens itself.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/oci/oci.h"

static const struct {
	const char *type, *word;
	bool joins; /* the tree can have it joined */
} types[] = {
	{ "pid", "pid", true },	  { "network", "net", true },  { "uts", "uts", true },
	{ "ipc", "ipc", true },	  { "mount", "mount", false }, { "cgroup", "cgroup", true },
	{ "user", "user", true }, { "time", "time", true },
};
#define TYPES (sizeof(types) / sizeof(types[0]))

int spec_namespaces(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct text words = TEXT_INIT;
	json_t *joins = json_object();
	struct spec *s = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		const char *of = json_text(item, "path");
		char which[160];
		size_t k = 0;

		while (k < TYPES && strcmp(types[k].type, json_text(item, "type")))
			k++;
		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		if (k == TYPES)
			rc = refuse(which, "no namespace of Linux", e);
		else if (*of && !types[k].joins)
			rc = refuse(which, "mounts are not joined by a path", e);
		else if (*of)
			json_object_set_new(joins, types[k].word, json_string(of));
		else
			text_addf(&words, "%s%s", words.len ? " " : "", types[k].word);
	}
	if (rc == 0) {
		json_object_set_new(s->settings, "namespaces", json_string(text_str(&words)));
		json_object_set(s->settings, "namespaces.join", joins);
	}
	json_decref(joins);
	text_free(&words);
	return rc;
}

static bool is_of(const struct container *c, pid_t pid)
{
	return container_keeper(c) == pid || container_init(c) == pid;
}

/* The name in the tree of the container that has pid as its keeper or its init. */
static int name_of(const struct oci *o, pid_t pid, char *name, size_t size, struct err *e)
{
	char path[PATH_MAX];
	DIR *dir = opendir(tree_path(path, o->tree, "container"));
	struct dirent *d = NULL;
	bool found = false;

	while (dir && !found && (d = readdir(dir))) {
		struct container c;

		found = d->d_name[0] != '.' && container_name(o, d->d_name, &c, NULL) == 0 &&
			is_of(&c, pid);
	}
	if (found)
		snprintf(name, size, "%s", d->d_name);
	if (dir)
		closedir(dir);
	return found ? 0
		     : err_set(e, -ENOENT, "process %d is of no container of the tree", (int)pid);
}

int spec_join(const struct oci *o, struct spec *s, struct err *e)
{
	json_t *joins = json_object_get(s->settings, "namespaces.join"), *value;
	const char *word;
	void *next;
	int rc = 0;

	json_object_foreach_safe(joins, next, word, value)
	{
		char name[NAME_MAX + 1];
		int pid;

		if (sscanf(json_string_value(value), "/proc/%d/ns/", &pid) != 1)
			continue;
		rc = name_of(o, pid, name, sizeof(name), e);
		if (rc < 0)
			return err_prefix(e, "config.json: linux.namespaces: %s: ",
					  json_string_value(value));
		json_object_set_new(joins, word, json_string(name));
	}
	return rc;
}
