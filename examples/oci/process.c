/* config.json's process, and that of exec: see oci.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "backends/base/argv.h"
#include "backends/container/capabilities.h"
#include "examples/oci/oci.h"

/* The same value under the container's name for it and the session's; NULL: it has none. */
static void set(struct spec *s, const char *name, const char *session, json_t *value)
{
	json_object_set(s->settings, name, value);
	if (session)
		json_object_set(s->session, session, value);
	json_decref(value);
}

static int take_terminal(void *arg, const char *path, const json_t *v, struct err *e)
{
	((struct spec *)arg)->terminal = json_is_true(v);
	return 0;
}

static int take_size(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct spec *s = arg;

	s->rows = (unsigned short)json_integer_value(json_object_get(v, "height"));
	s->columns = (unsigned short)json_integer_value(json_object_get(v, "width"));
	return 0;
}

/* ---- user ---- */

static int take_umask(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_int_t umask;
	char text[16];
	int rc = json_number(v, path, &umask, e);

	if (rc < 0)
		return rc;
	if (umask < 0 || umask > 0777)
		return refuse(path, "outside 0..511", e);
	snprintf(text, sizeof(text), "0%03llo", (unsigned long long)umask);
	set(arg, "init.umask", NULL, json_string(text));
	return 0;
}

static int take_user(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "uid", NULL },
		{ "gid", NULL },
		{ "additionalGids", NULL },
		{ "umask", take_umask },
		{ "username", key_refuse },
	};
	const json_t *groups = json_object_get(v, "additionalGids");
	struct text text = TEXT_INIT;
	struct spec *s = arg;
	int rc = KEYS_TAKE(keys, arg, path, v, e);

	if (rc < 0)
		return rc;
	s->uid = (uid_t)json_integer_value(json_object_get(v, "uid"));
	s->gid = (gid_t)json_integer_value(json_object_get(v, "gid"));
	text_addf(&text, "%u:%u", s->uid, s->gid);
	for (size_t i = 0; i < json_array_size(groups); i++)
		text_addf(&text, ",%lld", (long long)json_integer_value(json_array_get(groups, i)));
	set(s, "init.user", "user", json_string(text_str(&text)));
	text_free(&text);
	return 0;
}

/* ---- what to execute ---- */

static int take_args(void *arg, const char *path, const json_t *v, struct err *e)
{
	struct text line = TEXT_INIT;
	int rc = json_array_size(v) ? 0 : refuse(path, "not a list of words", e);

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const char *word = json_string_value(json_array_get(v, i));

		if (!word)
			rc = refuse(path, "not a list of words", e);
		text_add(&line, i ? " " : "");
		if (word)
			argv_quote(&line, word);
	}
	if (rc == 0)
		set(arg, "init", "argv", json_string(text_str(&line)));
	text_free(&line);
	return rc;
}

static int take_env(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_t *env = json_object();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const char *entry = json_string_value(json_array_get(v, i));
		const char *split = entry ? strchr(entry, '=') : NULL;
		char which[160];

		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		if (!split)
			rc = refuse(which, "not NAME=VALUE", e);
		else if (!text_line_valid(entry))
			rc = refuse(which, "a variable is one line of UTF-8 here", e);
		else
			json_object_setn_new(env, entry, (size_t)(split - entry),
					     json_string(split + 1));
	}
	if (rc == 0)
		set(arg, "init.env", "env", json_incref(env));
	json_decref(env);
	return rc;
}

static int take_cwd(void *arg, const char *path, const json_t *v, struct err *e)
{
	set(arg, "init.cwd", "cwd", json_incref((json_t *)v));
	return 0;
}

/* ---- privileges ---- */

static int capability_mask(const json_t *list, const char *path, uint64_t *ret, struct err *e)
{
	*ret = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		int n = name ? capability_number(name) : -1;

		if (n < 0)
			return err_set(e, -EINVAL, "config.json: %s: \"%.40s\" is no capability",
				       path, name ? name : "");
		*ret |= CAPABILITY_BIT(n);
	}
	return 0;
}

static void set_mask(struct spec *s, const char *name, uint64_t mask)
{
	struct text words = TEXT_INIT;

	for (int n = 0; n < 64; n++)
		if (mask >> n & 1 && capability_name(n))
			text_addf(&words, "%s%s", words.len ? " " : "", capability_name(n));
	set(s, name, NULL, json_string(text_str(&words)));
	text_free(&words);
}

/*
 * One set is for all: what a process has it also may have. Who is not root loses what is effective
 * and permitted by executing his program, but for what is ambient; root gains all that is bounding.
 */
static int take_capabilities(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "bounding", NULL },	 { "effective", NULL }, { "permitted", NULL },
		{ "inheritable", NULL }, { "ambient", NULL },
	};
	uint64_t mask[sizeof(keys) / sizeof(keys[0])];
	const struct spec *s = arg;
	const json_t *user = json_object_get(json_object_get(s->config, "process"), "user");
	bool root = json_integer_value(json_object_get(user, "uid")) == 0;
	int rc = KEYS_TAKE(keys, arg, path, v, e);

	for (size_t i = 0; rc == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
		rc = capability_mask(json_object_get(v, keys[i].name), path, &mask[i], e);
	if (rc < 0)
		return rc;
	if (mask[4] & ~mask[0] || (mask[3] & ~mask[4] && !root))
		return err_set(e, -EINVAL,
			       "config.json: %s: ambient ones are bounding, and inheritable ones "
			       "ambient here",
			       path);
	for (size_t i = 1; i < 3; i++)
		if (mask[i] & ~mask[0] || (mask[i] != mask[0] && root))
			return err_set(e, -EINVAL,
				       "config.json: %s.%s: it is the bounding set here", path,
				       keys[i].name);
	set_mask(arg, "capabilities", mask[0]);
	set_mask(arg, "capabilities.ambient", mask[4]);
	return 0;
}

static int take_rlimits(void *arg, const char *path, const json_t *v, struct err *e)
{
	json_t *limits = json_object();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
		const json_t *limit = json_array_get(v, i);
		const char *type = json_text(limit, "type");
		char name[32] = "", value[64], which[160];

		snprintf(which, sizeof(which), "%s[%zu]", path, i);
		if (strncmp(type, "RLIMIT_", 7)) {
			rc = refuse(which, "no resource limit", e);
			break;
		}
		for (size_t k = 0; k < sizeof(name) - 1 && type[7 + k]; k++)
			name[k] = (char)tolower((unsigned char)type[7 + k]);
		for (int hard = 0; hard < 2; hard++) {
			const json_t *n = json_object_get(limit, hard ? "hard" : "soft");
			char *end = value + strlen(hard ? value : "");

			/* RLIM_INFINITY may come as a real, since it is more than an integer's. */
			if (json_is_integer(n) && json_integer_value(n) >= 0)
				snprintf(end, sizeof(value) - (size_t)(end - value), "%s%lld",
					 hard ? " " : "", (long long)json_integer_value(n));
			else
				snprintf(end, sizeof(value) - (size_t)(end - value), "%smax",
					 hard ? " " : "");
		}
		json_object_set_new(limits, name, json_string(value));
	}
	if (rc == 0)
		set(arg, "rlimit", NULL, json_incref(limits));
	json_decref(limits);
	return rc;
}

static int take_no_new_privs(void *arg, const char *path, const json_t *v, struct err *e)
{
	set(arg, "no_new_privs", NULL, json_string(json_is_true(v) ? "1" : "0"));
	return 0;
}

static int take_oom(void *arg, const char *path, const json_t *v, struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	set(arg, "oom.score", NULL, json_string(text));
	return 0;
}

static int take_apparmor(void *arg, const char *path, const json_t *v, struct err *e)
{
	set(arg, "apparmor", NULL, json_incref((json_t *)v));
	return 0;
}

static int take_selinux(void *arg, const char *path, const json_t *v, struct err *e)
{
	set(arg, "selinux", NULL, json_incref((json_t *)v));
	return 0;
}

static int take_io_priority(void *arg, const char *path, const json_t *v, struct err *e)
{
	char text[32];

	if (strcmp(json_text(v, "class"), "IOPRIO_CLASS_BE"))
		return refuse(path, "only IOPRIO_CLASS_BE", e);
	snprintf(text, sizeof(text), "%lld",
		 (long long)json_integer_value(json_object_get(v, "priority")));
	set(arg, "io.priority", NULL, json_string(text));
	return 0;
}

static int scheduler_policy(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const char *const words[][2] = { { "SCHED_OTHER", "other" },
						{ "SCHED_BATCH", "batch" },
						{ "SCHED_IDLE", "idle" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (json_is_string(v) && !strcmp(words[i][0], json_string_value(v))) {
			set(arg, "cpu.scheduler", NULL, json_string(words[i][1]));
			return 0;
		}
	return refuse(path, "only SCHED_OTHER, SCHED_BATCH, SCHED_IDLE", e);
}

static int scheduler_nice(void *arg, const char *path, const json_t *v, struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	set(arg, "cpu.nice", NULL, json_string(text));
	return 0;
}

static int scheduler_zero(void *arg, const char *path, const json_t *v, struct err *e)
{
	return json_integer_value(v) == 0 ? 0 : refuse(path, "machinefs has nothing for it", e);
}

static int take_scheduler(void *arg, const char *path, const json_t *v, struct err *e)
{
	static const struct key keys[] = {
		{ "policy", scheduler_policy }, { "nice", scheduler_nice },
		{ "priority", scheduler_zero }, { "runtime", scheduler_zero },
		{ "deadline", scheduler_zero }, { "period", scheduler_zero },
	};

	return KEYS_TAKE(keys, arg, path, v, e);
}

int spec_process(struct spec *s, const char *path, const json_t *process, struct err *e)
{
	static const struct key keys[] = {
		{ "terminal", take_terminal },
		{ "consoleSize", take_size },
		{ "user", take_user },
		{ "args", take_args },
		{ "env", take_env },
		{ "cwd", take_cwd },
		{ "capabilities", take_capabilities },
		{ "rlimits", take_rlimits },
		{ "noNewPrivileges", take_no_new_privs },
		{ "oomScoreAdj", take_oom },
		{ "apparmorProfile", take_apparmor },
		{ "selinuxLabel", take_selinux },
		{ "ioPriority", take_io_priority },
		{ "scheduler", take_scheduler },
		{ "commandLine", key_refuse },
		{ "execCPUAffinity", key_refuse },
	};

	return KEYS_TAKE(keys, s, path, process, e);
}

/* A session is confined as its container is: what would make it another is refused. */
int spec_exec_process(struct spec *s, const json_t *process, struct err *e)
{
	static const char *const same[] = { "capabilities", "capabilities.ambient",
					    "init.umask",   "rlimit",
					    "no_new_privs", "oom.score",
					    "apparmor",	    "selinux",
					    "io.priority",  "cpu.nice",
					    "cpu.scheduler" };
	json_t *before = json_copy(s->settings);
	int rc;

	s->terminal = false;
	json_object_clear(s->session);
	rc = spec_process(s, "process", process, e);
	for (size_t i = 0; rc == 0 && i < sizeof(same) / sizeof(same[0]); i++)
		if (!json_equal(json_object_get(before, same[i]),
				json_object_get(s->settings, same[i])))
			rc = err_set(e, -EINVAL, "process: %s: it is the container's for all of it",
				     same[i]);
	json_decref(before);
	return rc;
}
