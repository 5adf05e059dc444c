/* The files of a machine's directory: see machine_files.h. */
#include "fs/machine_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/wire.h"
#include "fs/attr.h"
#include "fs/config_yaml.h"
#include "fs/daemon.h"
#include "fs/event_log.h"
#include "fs/link.h"
#include "fs/machine.h"
#include "fs/store.h"
#include "fs/verb.h"
#include "fs/waiter.h"

#define CONSOLE_WRITE_MAX 4096 /* typed at once; a longer write is a short one */

/* ---- settings ---- */

static void show_setting(struct object *o, const struct file *f, struct text *out)
{
	attr_show(f->attr, &object_machine(o)->config, out);
}

static int write_setting(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	struct machine *m = object_machine(h->object);
	struct machine_config next;
	int rc;

	/* Writing one setting would replace a file that nobody has been able to read. */
	if (m->broken.code)
		return err_set(e, -EIO, "%s: %s; write config.yaml anew", h->file->name,
			       m->broken.text);
	rc = config_copy(&m->config, &next, e);
	if (rc < 0)
		return rc;
	rc = attr_store(h->file->attr, &next, data, len, e);
	if (rc == 0)
		rc = machine_configure(m, &next, r->who, NULL, e);
	if (rc < 0)
		config_free(&next);
	return rc;
}

/* ---- config.yaml ---- */

static void show_config(struct object *o, const struct file *f, struct text *out)
{
	config_print(&object_machine(o)->config, out, NULL);
}

/* Lines "LINE:COLUMN: SENTENCE" of what is no configuration. */
static void config_refuse_parsed(struct machine *m, const struct err *e, const char *lines)
{
	struct text out = TEXT_INIT;

	for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
		text_addf(&out, "%s config.yaml: %.*s\n", err_name(e->code),
			  (int)strcspn(lines, "\n"), lines);
	object_refuse_all(&m->object, text_str(&out));
	text_free(&out);
}

/* One line "ERRNO SETTING: SENTENCE", with the place that the document has for the setting. */
static void config_refuse_line(struct machine *m, const struct config_place *at, const char *line,
			       struct text *out)
{
	int word = (int)strcspn(line, " "), len = (int)strcspn(line, "\n");
	const char *name = line + word + 1;
	int used = (int)strcspn(name, ":");
	const struct attr *a = NULL;
	char key[64];

	if (used < (int)sizeof(key)) {
		snprintf(key, sizeof(key), "%.*s", used, name);
		a = attr_find(m->kind, key);
	}
	text_addf(out, "%.*s config.yaml: ", word, line);
	if (a && at[a - machine_attrs].line)
		text_addf(out, "%u:%u: ", at[a - machine_attrs].line, at[a - machine_attrs].column);
	text_addf(out, "%.*s", len - word - 1, name);
	if (a && !at[a - machine_attrs].line)
		text_add(out, "; the document lacks it, which means its default");
	text_add(out, "\n");
}

/* Likewise of what this machine cannot be now. */
static void config_refuse_checked(struct machine *m, const struct handle *h, const char *lines)
{
	struct config_place *at = calloc(machine_attr_count, sizeof(*at));
	struct text out = TEXT_INIT;

	if (at)
		config_places(m->kind, text_str(&h->draft), h->draft.len, at);
	for (; at && *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
		config_refuse_line(m, at, lines, &out);
	object_refuse_all(&m->object, text_str(&out));
	text_free(&out);
	free(at);
}

static int config_read(struct machine *m, struct handle *h, struct request *r,
		       struct machine_config *ret, struct err *e)
{
	struct text all = TEXT_INIT;
	int rc = config_parse(m->kind, text_str(&h->draft), h->draft.len, ret, &all, e);

	if (rc < 0) {
		config_refuse_parsed(m, e, text_str(&all));
		err_prefix(e, "config.yaml: ");
		r->noted = true;
	}
	text_free(&all);
	return rc;
}

/*
 * What the draft asks for is done, or only checked. Each refusal has a line in `error`.
 */
static int config_apply(struct machine *m, struct handle *h, struct request *r, bool commit,
			struct err *e)
{
	struct text all = TEXT_INIT;
	struct machine_config next;
	int rc = config_read(m, h, r, &next, e);

	if (rc < 0)
		return rc;
	rc = commit ? machine_configure(m, &next, h->who, &all, e)
		    : machine_check(m, &next, h->who, &all, e);
	if (rc < 0 || !commit)
		config_free(&next);
	if (rc < 0 && all.len) {
		config_refuse_checked(m, h, text_str(&all));
		r->noted = true;
	}
	text_free(&all);
	return rc;
}

static int config_commit(struct machine *m, struct handle *h, struct request *r, struct err *e)
{
	int rc = config_apply(m, h, r, true, e);

	text_clear(&h->draft);
	return rc;
}

/* 1: the draft ends with a line "..."; -EINVAL: there is something behind that line. */
static int draft_ended(const struct text *draft)
{
	const char *p = text_str(draft);

	for (; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t len = strcspn(p, "\n");

		if (len == 3 && !memcmp(p, "...", 3))
			return !p[3] || !p[4] ? 1 : -EINVAL;
	}
	return 0;
}

/* The rest of a document of which a part was refused must not be taken for a whole one. */
static int draft_refuse(struct handle *h, struct err *e, const char *why)
{
	text_clear(&h->draft);
	h->draft_bad = true;
	return err_set(e, -EINVAL, "config.yaml: %s", why);
}

static int write_config(struct handle *h, struct request *r, const char *data, size_t len,
			struct err *e)
{
	int ended;

	if (h->draft_bad)
		return draft_refuse(h, e, "a part of this document was refused; open it anew");
	if (memchr(data, '\0', len))
		return draft_refuse(h, e, "a NUL byte is not text");
	if (h->draft.len + len > CONFIG_YAML_MAX)
		return draft_refuse(h, e, "larger than 256 KiB");
	text_add_bytes(&h->draft, data, len);
	if (text_failed(&h->draft)) {
		draft_refuse(h, e, "");
		return err_sys(e, ENOMEM, "config.yaml");
	}
	ended = draft_ended(&h->draft);
	if (ended < 0)
		return draft_refuse(h, e, "there is text behind the line \"...\"");
	return ended ? config_commit(object_machine(h->object), h, r, e) : 0;
}

/* Only a check: others who have the file open may still write more of the document. */
static int flush_config(struct handle *h, struct request *r, struct err *e)
{
	return h->draft.len ? config_apply(object_machine(h->object), h, r, false, e) : 0;
}

static void release_config(struct handle *h)
{
	struct request none = { .noted = false };
	struct err e = { 0 };

	if (h->draft.len && config_commit(object_machine(h->object), h, &none, &e) < 0 &&
	    !none.noted)
		object_refuse(h->object, &e);
}

/* ---- state and identity ---- */

static void show_state(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", state_words[object_machine(o)->state]);
}

static void show_exit(struct object *o, const struct file *f, struct text *out)
{
	struct machine *m = object_machine(o);
	char text[320];

	if (!m->has_ending)
		return;
	ending_print(&m->ending, text, sizeof(text));
	text_addf(out, "%s\n", text);
}

static void show_error(struct object *o, const struct file *f, struct text *out)
{
	text_add(out, text_str(&o->refusal));
}

static void show_uuid(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", object_machine(o)->uuid);
}

static void show_created(struct object *o, const struct file *f, struct text *out)
{
	struct timespec t = object_machine(o)->created;

	text_addf(out, "%lld.%06ld\n", (long long)t.tv_sec, t.tv_nsec / 1000);
}

static pid_t machine_pid(const struct machine *m)
{
	pid_t pid = m->link ? link_machine_pid(m->link) : 0;

	return pid || !m->link || m->kind == KIND_CONTAINER ? pid : link_pid(m->link);
}

static void show_pid(struct object *o, const struct file *f, struct text *out)
{
	pid_t pid = machine_pid(object_machine(o));

	if (pid > 0)
		text_addf(out, "%d\n", pid);
}

/* A link must lead somewhere to be readable: a stopped machine's leads to no file. */
static void show_proc(struct object *o, const struct file *f, struct text *out)
{
	pid_t pid = machine_pid(object_machine(o));

	if (pid > 0)
		text_addf(out, "/proc/%d", pid);
	else
		text_add(out, "nowhere");
}

static void show_tty(struct object *o, const struct file *f, struct text *out)
{
	struct machine *m = object_machine(o);
	const char *tty = m->link ? link_tty(m->link) : "";

	text_add(out, *tty ? tty : "nowhere");
}

/* ---- console and events ---- */

static off_t console_part(struct machine *m, const char *name, int *ret_fd)
{
	struct stat st;

	*ret_fd = store_open_file(machine_dir(m), name, O_RDONLY);
	return *ret_fd >= 0 && fstat(*ret_fd, &st) == 0 ? st.st_size : 0;
}

static off_t console_part_size(struct machine *m, const char *name)
{
	struct stat st;

	return fstatat(machine_dir(m), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
		       ? st.st_size
		       : 0;
}

static off_t console_size(struct object *o, const struct file *f)
{
	struct machine *m = object_machine(o);

	return console_part_size(m, "console.old") + console_part_size(m, "console");
}

/* The older part followed by the newer one, as one file. */
static ssize_t console_read(struct object *o, const struct file *f, char *buf, size_t size,
			    off_t at)
{
	struct machine *m = object_machine(o);
	int old, log;
	off_t first = console_part(m, "console.old", &old);
	ssize_t n = 0, more;

	console_part(m, "console", &log);
	if (old >= 0 && at < first)
		n = pread(old, buf, size, at);
	if (log >= 0 && n >= 0 && (size_t)n < size) {
		more = pread(log, buf + n, size - (size_t)n, at < first ? 0 : at - first);
		n = more < 0 ? more : n + more;
	}
	if (n < 0)
		n = -err_public(errno);
	if (old >= 0)
		close(old);
	if (log >= 0)
		close(log);
	return n;
}

static int write_console(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	struct machine *m = object_machine(h->object);

	if (!m->link)
		return err_set(e, -EBUSY, "console: the machine is %s", state_words[m->state]);
	if (len > CONSOLE_WRITE_MAX)
		r->len = len = CONSOLE_WRITE_MAX;
	return link_input(m->link, data, len, e);
}

static off_t events_size(struct object *o, const struct file *f)
{
	return event_log_size(object_machine(o)->events);
}

static ssize_t events_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at)
{
	return event_log_read(object_machine(o)->events, buf, size, at);
}

/* ---- figures ---- */

static const struct {
	const char *name;
	enum cgroup_file file;
} figures[] = {
	{ "memory.current", CGROUP_MEMORY_CURRENT },   { "memory.stat", CGROUP_MEMORY_STAT },
	{ "memory.pressure", CGROUP_MEMORY_PRESSURE }, { "cpu.stat", CGROUP_CPU_STAT },
	{ "cpu.pressure", CGROUP_CPU_PRESSURE },       { "pids.current", CGROUP_PIDS_CURRENT },
};

static void show_figure(struct object *o, const struct file *f, struct text *out)
{
	struct machine *m = object_machine(o);
	size_t before = out->len;

	for (size_t i = 0; m->cgroup && i < sizeof(figures) / sizeof(figures[0]); i++)
		if (!strcmp(figures[i].name, f->name))
			cgroup_read(m->cgroup, figures[i].file, out, NULL);
	/* What has no group uses nothing; a table of nothing is empty. */
	if (out->len == before && strstr(f->name, ".current"))
		text_add(out, "0\n");
}

static void show_stat(struct object *o, const struct file *f, struct text *out)
{
	static const char *const counters[COUNTER_MAX] = {
		[COUNTER_CONSOLE_BYTES] = "console.bytes",
		[COUNTER_EXITS] = "exits",
		[COUNTER_EXITS_IO] = "exits.io",
		[COUNTER_EXITS_MMIO] = "exits.mmio",
		[COUNTER_RESETS] = "resets",
	};
	struct machine *m = object_machine(o);
	struct text one = TEXT_INIT;

	for (int i = 0; i < COUNTER_MAX; i++)
		if (m->kind == KIND_VM || i == COUNTER_CONSOLE_BYTES)
			text_addf(out, "%s %llu\n", counters[i],
				  (unsigned long long)(m->link ? link_counter(m->link, i) : 0));
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		if (!strstr(figures[i].name, ".current"))
			continue;
		text_clear(&one);
		if (m->cgroup)
			cgroup_read(m->cgroup, figures[i].file, &one, NULL);
		text_addf(out, "%s %s", figures[i].name, one.len ? text_str(&one) : "0\n");
	}
	text_free(&one);
}

/* ---- the table ---- */

struct machine_file {
	struct file file;
	unsigned kinds; /* ATTR_VM, ATTR_CONTAINER */
};

static const struct machine_file machine_rows[] = {
	{ { .name = "ctl",
	    .changes = CHANGE_STATE,
	    .mode = 0644,
	    .show = ctl_show,
	    .write = ctl_write,
	    .doc = "Reading lists the verbs that are valid now; writing one does it: start, "
		   "stop [SECONDS] (asks it to end, and kills it after that time, 10 by default), "
		   "kill, pause, resume, reset (VM), signal N (container). start returns when the "
		   "machine runs, or with the reason why it does not. stop and kill also call off "
		   "a restart that is due." },
	  ATTR_BOTH },
	{ { .name = "state",
	    .changes = CHANGE_STATE,
	    .mode = 0444,
	    .event = true,
	    .show = show_state,
	    .doc = "One word: stopped, starting, running, paused, stopping or failed. poll(2) and "
		   "inotify tell of changes." },
	  ATTR_BOTH },
	{ { .name = "wait",
	    .mode = 0644,
	    .parks = true,
	    .show = show_state,
	    .write = wait_write,
	    .doc = "Writing STATE [SECONDS] returns when the machine is in that state: EIO when it "
		   "comes to rest in another one and is not to be started again, EBUSY when the "
		   "time is over, EINTR by a signal. Reading says the state and never blocks. A "
		   "shell gets a signal when one of its jobs ends: with jobs, let a process of its "
		   "own wait, as in (echo stopped > wait). A user other than root may have 1024 "
		   "writes waiting; all together have 4096." },
	  ATTR_BOTH },
	{ { .name = "exit",
	    .changes = CHANGE_STATE,
	    .mode = 0444,
	    .show = show_exit,
	    .doc = "How the machine last ended: exited N, signaled N, poweroff, reset, or failed: "
		   "and why. Empty before its first end." },
	  ATTR_BOTH },
	{ { .name = "error",
	    .changes = CHANGE_REFUSAL,
	    .mode = 0444,
	    .show = show_error,
	    .doc = "The last refusal: the errno's name and a sentence. start clears it." },
	  ATTR_BOTH },
	{ { .name = "events",
	    .mode = 0444,
	    .kind = FILE_LOG,
	    .event = true,
	    .log_size = events_size,
	    .log_read = events_read,
	    .doc = "What happened to this machine, a line each: SEQ TIME OBJECT WHAT [DETAIL]. SEQ "
		   "counts this machine's events from 1. The last 64 KiB, as in the root's." },
	  ATTR_BOTH },
	{ { .name = "console",
	    .mode = 0600,
	    .kind = FILE_LOG,
	    .event = true,
	    .log_size = console_size,
	    .log_read = console_read,
	    .write = write_console,
	    .doc = "Reading: what the machine has printed, run after run; the last 1 MiB at "
		   "least is kept, also after its end. Writing: typed to it." },
	  ATTR_BOTH },
	{ { .name = "tty",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_tty,
	    .doc = "A link to a pty on the console, for screen and picocom." },
	  ATTR_BOTH },
	{ { .name = "config.yaml",
	    .changes = CHANGE_CONFIG,
	    .mode = 0600,
	    .show = show_config,
	    .write = write_config,
	    .flush = flush_config,
	    .release = release_config,
	    .doc = "All settings as one YAML map. Writing replaces them in one transaction, at a "
		   "line \"...\", or else at the last close; keys that are not there get their "
		   "defaults. On a running machine all that changes must be able to: otherwise "
		   "nothing does, and error has a line for each that cannot." },
	  ATTR_BOTH },
	{ { .name = "uuid",
	    .mode = 0444,
	    .changes = CHANGE_NEVER,
	    .show = show_uuid,
	    .doc = "Its name for ever." },
	  ATTR_BOTH },
	{ { .name = "created",
	    .changes = CHANGE_NEVER,
	    .mode = 0444,
	    .show = show_created,
	    .doc = "When it was made, in seconds of the epoch." },
	  ATTR_BOTH },
	{ { .name = "pid",
	    .mode = 0444,
	    .show = show_pid,
	    .doc = "The process: a VM's monitor, a container's init. Empty when there is none." },
	  ATTR_BOTH },
	{ { .name = "proc",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_proc,
	    .doc = "A link to its directory in /proc." },
	  ATTR_BOTH },
	{ { .name = "memory.current",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Bytes of memory that it uses now." },
	  ATTR_BOTH },
	{ { .name = "memory.stat",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "What for, as cgroup v2's memory.stat." },
	  ATTR_BOTH },
	{ { .name = "memory.pressure",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Time lost for want of memory, as cgroup v2's; empty where the host has none." },
	  ATTR_BOTH },
	{ { .name = "cpu.stat",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "CPU time used, as cgroup v2's cpu.stat." },
	  ATTR_BOTH },
	{ { .name = "cpu.pressure",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Time lost for want of CPU, as cgroup v2's; empty where the host has none." },
	  ATTR_BOTH },
	{ { .name = "pids.current",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "How many processes and threads it has." },
	  ATTR_BOTH },
	{ { .name = "stat",
	    .mode = 0444,
	    .show = show_stat,
	    .doc = "All its counters in one read, KEY VALUE." },
	  ATTR_BOTH },
};

/* An environment may hold secrets. */
static mode_t setting_mode(const struct attr *a)
{
	return a->type == &attr_env ? 0600 : 0644;
}

int machine_files(enum machine_kind kind, struct class *ret, struct err *e)
{
	const unsigned bit = kind == KIND_VM ? ATTR_VM : ATTR_CONTAINER;
	const size_t rows = sizeof(machine_rows) / sizeof(machine_rows[0]);

	ret->nfiles = 0;
	ret->files = calloc(rows + machine_attr_count, sizeof(*ret->files));
	if (!ret->files)
		return err_sys(e, ENOMEM, "files");
	for (size_t i = 0; i < rows; i++)
		if (machine_rows[i].kinds & bit)
			ret->files[ret->nfiles++] = machine_rows[i].file;
	for (size_t i = 0; i < machine_attr_count; i++) {
		const struct attr *a = &machine_attrs[i];

		if (attr_applies(a, kind))
			ret->files[ret->nfiles++] = (struct file){
				.name = a->name,
				.mode = setting_mode(a),
				.changes = CHANGE_CONFIG,
				.attr = a,
				.show = show_setting,
				.write = write_setting,
				.doc = a->doc,
			};
	}
	return 0;
}
