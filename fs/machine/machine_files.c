/* The files of a machine's directory: see machine_files.h. */
#include "fs/machine/machine_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/base/cpulist.h"
#include "backends/container/userquota.h"
#include "backends/monitor/wire.h"
#include "fs/attr/attr_files.h"
#include "fs/attr/part_type.h"
#include "fs/common_files.h"
#include "fs/daemon.h"
#include "fs/image/image.h"
#include "fs/machine/change.h"
#include "fs/machine/link.h"
#include "fs/machine/machine.h"
#include "fs/machine/part.h"
#include "fs/machine/vcpu.h"
#include "fs/machine/verb.h"
#include "fs/machine/vsock_dir.h"
#include "fs/store/config_yaml.h"
#include "fs/store/keptlog.h"
#include "vmm/cpu/cpu_topology.h"
#include "vmm/virtio/virtio_balloon.h"

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
	struct machine_edit edit = { .who = r->who };
	struct machine_config next;
	int rc;

	if (m->change)
		return change_put_off_write(m, h, r, data, len, e);
	/* Writing one setting would replace a file that nobody has been able to read. */
	if (m->broken.code)
		return err_set(e, -EIO, "%s: %s; write config.yaml anew", h->file->name,
			       m->broken.text);
	rc = config_copy(&m->config, &next, e);
	if (rc < 0)
		return rc;
	rc = attr_store(h->file->attr, &next, data, len, e);
	if (rc == 0)
		rc = machine_configure(m, &next, r, &edit, e);
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
static void config_refuse_line(struct machine *m, const struct text *draft, const char *line,
			       struct text *out)
{
	int word = (int)strcspn(line, " "), len = (int)strcspn(line, "\n");
	const char *name = line + word + 1;
	struct config_place at = { 0 };
	char key[192];

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(name, ":"), name);
	if (attr_find(m->kind, key) || strchr(key, '/'))
		at = config_place(m->kind, text_str(draft), draft->len, key);
	text_addf(out, "%.*s config.yaml: ", word, line);
	if (at.line)
		text_addf(out, "%u:%u: ", at.line, at.column);
	text_addf(out, "%.*s", len - word - 1, name);
	if (!at.line && attr_find(m->kind, key))
		text_add(out, "; the document lacks it, which means its default");
	text_add(out, "\n");
}

void machine_refuse_document(struct machine *m, const struct text *document, const char *lines)
{
	struct text out = TEXT_INIT;

	for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
		config_refuse_line(m, document, lines, &out);
	object_refuse_all(&m->object, text_str(&out));
	text_free(&out);
}

static int document_read(struct machine *m, const struct text *document, struct machine_config *ret,
			 bool *ret_noted, struct err *e)
{
	struct text all = TEXT_INIT;
	int rc = config_parse(m->kind, text_str(document), document->len, ret, &all, e);

	if (rc < 0) {
		config_refuse_parsed(m, e, text_str(&all));
		err_prefix(e, "config.yaml: ");
		*ret_noted = true;
	}
	text_free(&all);
	return rc;
}

/* What it asks for is done, or only checked. Each refusal has a line in `error`. */
static int document_apply(struct machine *m, const struct text *document, struct caller who,
			  struct request *r, bool commit, bool *ret_noted, struct err *e)
{
	struct text all = TEXT_INIT;
	struct machine_edit edit = { .who = who, .document = document, .all = &all };
	struct machine_config next;
	int rc = document_read(m, document, &next, ret_noted, e);

	if (rc < 0)
		return rc;
	rc = commit ? machine_configure(m, &next, r, &edit, e)
		    : machine_check(m, &next, who, &all, e);
	if (rc < 0 || !commit)
		config_free(&next);
	if (rc < 0 && all.len) {
		machine_refuse_document(m, document, text_str(&all));
		*ret_noted = true;
	}
	text_free(&all);
	return rc;
}

int machine_put_document(struct machine *m, const struct text *document, struct caller who,
			 struct request *r, struct err *e)
{
	bool noted = false;
	int rc = document_apply(m, document, who, r, true, &noted, e);

	if (r)
		r->noted = noted;
	else if (rc < 0 && !noted)
		object_refuse(&m->object, e);
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
	struct machine *m = object_machine(h->object);
	int ended, rc;

	if (m->change)
		return change_put_off_write(m, h, r, data, len, e);
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
	if (!ended)
		return 0;
	rc = machine_put_document(m, &h->draft, h->who, r, e);
	text_clear(&h->draft);
	return rc;
}

/* Only a check: others who have the file open may still write more of the document. */
static int flush_config(struct handle *h, struct request *r, struct err *e)
{
	if (!h->draft.len)
		return 0;
	return document_apply(object_machine(h->object), &h->draft, h->who, r, false, &r->noted, e);
}

static void release_config(struct handle *h)
{
	struct machine *m = object_machine(h->object);
	struct err e = { 0 };

	if (!h->draft.len)
		return;
	if (!m->change)
		machine_put_document(m, &h->draft, h->who, NULL, &e);
	else if (change_put_off_document(m, &h->draft, h->who, &e) < 0)
		object_refuse(h->object, &e);
}

/* ---- state and identity ---- */

static void show_exit(struct object *o, const struct file *f, struct text *out)
{
	struct machine *m = object_machine(o);
	char text[320];

	if (!m->has_ending)
		return;
	ending_print(&m->ending, text, sizeof(text));
	text_addf(out, "%s\n", text);
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
static void show_vsock(struct object *o, const struct file *f, struct text *out)
{
	vsock_dir_print(object_machine(o), out);
}

static void show_proc(struct object *o, const struct file *f, struct text *out)
{
	pid_t pid = machine_pid(object_machine(o));

	if (pid > 0)
		text_addf(out, "/proc/%d", pid);
	else
		text_add(out, "nowhere");
}

/* What it sees as /, and the namespaces that it is in. */
static void show_inside(struct object *o, const struct file *f, struct text *out)
{
	pid_t pid = machine_pid(object_machine(o));

	if (pid > 0)
		text_addf(out, "/proc/%d/%s", pid, strcmp(f->name, "ns") ? "root" : "ns");
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

static off_t console_size(struct object *o, const struct file *f)
{
	return keptlog_size(machine_dir(object_machine(o)), f->name);
}

static ssize_t console_read(struct object *o, const struct file *f, char *buf, size_t size,
			    off_t at)
{
	return keptlog_read(machine_dir(object_machine(o)), f->name, buf, size, at);
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

/* ---- figures ---- */

static const struct {
	const char *name;
	enum cgroup_file file;
} figures[] = {
	{ "memory.current", CGROUP_MEMORY_CURRENT },
	{ "memory.stat", CGROUP_MEMORY_STAT },
	{ "memory.pressure", CGROUP_MEMORY_PRESSURE },
	{ "cpu.stat", CGROUP_CPU_STAT },
	{ "cpu.pressure", CGROUP_CPU_PRESSURE },
	{ "pids.current", CGROUP_PIDS_CURRENT },
	{ "cgroup.procs", CGROUP_PROCS },
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

static void show_accounting(struct object *o, const struct file *f, struct text *out)
{
	if (object_machine(o)->cgroup)
		cgroup_accounting(object_machine(o)->cgroup, out);
}

/* In a user namespace whose root is no image, files on the disk have the owners outside. */
static char *read_map(const struct machine *m, const char *name)
{
	struct text map = TEXT_INIT;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)machine_pid(m), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text_read_fd(&map, fd);
	close(fd);
	return map.data;
}

static void show_quota(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = object_machine(o);
	struct layer l = LAYER_NONE;

	l.dir = m->link ? link_layer(m->link) : -1;
	if (l.dir < 0)
		return;
	if (!image_named(m->config.container.root)) {
		l.uids = read_map(m, "uid_map");
		l.gids = read_map(m, "gid_map");
	}
	userquota_show(&l, &m->config.container, out);
	free(l.uids);
	free(l.gids);
}

static void show_online(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = object_machine(o);
	struct cpulist l = { 0 };

	_Static_assert(ENGINE_VCPUS_MAX <= CPULIST_MAX, "cpu.online is a list");
	for (int i = 0; m->link && i < ENGINE_VCPUS_MAX / 64; i++)
		l.bits[i] = link_counter(m->link, COUNTER_CPUS_ONLINE + i);
	cpulist_print(&l, out);
	text_add(out, "\n");
}

static void show_available(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = object_machine(o);
	enum engine_counter which = COUNTER_BALLOON + BALLOON_AVAILABLE;

	text_addf(out, "%llu\n", (unsigned long long)(m->link ? link_counter(m->link, which) : 0));
}

/* Of all parts of a kind together: "disk.reads N". Only a VM's devices count. */
static void show_part_totals(const struct machine *m, struct text *out)
{
	for (int k = 0; m->kind == KIND_VM && k < PART_KINDS; k++) {
		const struct part_type *type = part_type((enum part_kind)k);
		uint64_t total[ENGINE_PART_COUNTERS] = { 0 };

		for (unsigned n = 0; m->link && n < ENGINE_PART_COUNTERS; n++)
			total[n] = link_part_total(m->link, (enum part_kind)k, n);
		if (m->link && type->count)
			type->count(m, total);
		for (unsigned n = 0; type->counters && type->counters[n]; n++)
			text_addf(out, "%s.%s %" PRIu64 "\n", type->dir, type->counters[n],
				  total[n]);
	}
}

static void show_registers(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = object_machine(o);
	uint64_t n = m->link && m->state == STATE_PAUSED ? cpu_possible(&m->config) : 0;

	for (unsigned i = 0; i < n && i < ENGINE_VCPUS_MAX; i++) {
		struct text line = TEXT_INIT;

		vcpu_print_registers(m, i, " ", "=", &line);
		if (line.len)
			text_addf(out, "%u%s\n", i, text_str(&line));
		text_free(&line);
	}
}

static void show_exits(const struct machine *m, struct text *out)
{
	uint64_t sum[VCPU_FIGURES] = { 0 };
	uint64_t n = m->link ? cpu_possible(&m->config) : 0;

	for (unsigned i = 0; i < n && i < ENGINE_VCPUS_MAX; i++)
		for (int k = VCPU_EXITS; k < VCPU_FIGURES; k++)
			sum[k] += vcpu_figure(m, i, (enum vcpu_figure)k);
	text_addf(out, "exits %" PRIu64 "\n", sum[VCPU_EXITS]);
	for (int k = VCPU_EXITS + 1; k <= VCPU_EXITS_SIGNAL; k++)
		text_addf(out, "exits.%s %" PRIu64 "\n", vcpu_exit_words[k], sum[k]);
}

static void show_stat(struct object *o, const struct file *f, struct text *out)
{
	static const char *const counters[COUNTER_CPUS_ONLINE] = {
		[COUNTER_CONSOLE_BYTES] = "console.bytes",
		[COUNTER_RESETS] = "resets",
		[COUNTER_MEMORY_PLUGGED] = "memory.plugged",
		[COUNTER_BALLOON + BALLOON_SWAP_IN] = "guest.swap_in",
		[COUNTER_BALLOON + BALLOON_SWAP_OUT] = "guest.swap_out",
		[COUNTER_BALLOON + BALLOON_MAJOR_FAULTS] = "guest.major_faults",
		[COUNTER_BALLOON + BALLOON_MINOR_FAULTS] = "guest.minor_faults",
		[COUNTER_BALLOON + BALLOON_FREE] = "guest.free",
		[COUNTER_BALLOON + BALLOON_TOTAL] = "guest.total",
		[COUNTER_BALLOON + BALLOON_AVAILABLE] = "guest.available",
		[COUNTER_BALLOON + BALLOON_CACHES] = "guest.caches",
		[COUNTER_BALLOON + BALLOON_HUGE_ALLOCATED] = "guest.huge_allocated",
		[COUNTER_BALLOON + BALLOON_HUGE_FAILED] = "guest.huge_failed",
		[COUNTER_BALLOON + BALLOON_ACTUAL] = "balloon.current",
		[COUNTER_BALLOON + BALLOON_REPORTED] = "balloon.reported",
	};
	struct machine *m = object_machine(o);
	struct text one = TEXT_INIT;

	if (m->kind == KIND_VM)
		show_exits(m, out);
	for (int i = 0; i < COUNTER_CPUS_ONLINE; i++)
		if (counters[i] && (m->kind == KIND_VM || i == COUNTER_CONSOLE_BYTES))
			text_addf(out, "%s %llu\n", counters[i],
				  (unsigned long long)(m->link ? link_counter(m->link, i) : 0));
	show_part_totals(m, out);
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

#define OF(kind)     (1u << KIND_##kind)
#define OF_CONTAINER OF(CONTAINER)
#define OF_BOTH	     (OF(VM) | OF(CONTAINER))

struct machine_file {
	struct file file;
	unsigned kinds; /* a bit for each */
};

static const struct machine_file machine_rows[] = {
	{ { .name = "ctl",
	    .changes = CHANGE_STATE,
	    .mode = 0644,
	    .show = ctl_show,
	    .write = ctl_write,
	    .doc = "Reading lists the verbs that are valid now; writing one does it: start, "
		   "stop [SECONDS] (asks it to end, and kills it after that time, 10 by default), "
		   "kill, pause, resume, reset and dump (VM), signal N and prepare (container). "
		   "start returns when the "
		   "machine runs, or with the reason why it does not. stop and kill also call off "
		   "a restart that is due. prepare starts a container up to its program: all of "
		   "it is there, pid too, sessions can run in it, and it waits for start, or "
		   "for resume, which starts none anew if it has ended meanwhile; who "
		   "ends it before that ends it at once. prepare outside goes less far: it has not "
		   "entered its root, so that in its mount namespace the host's files are seen as "
		   "well, and the container's where its root is; prepare, or start, goes on. A "
		   "signal, ^Z's too, ends a write that is not answered in a moment with EINTR: "
		   "what its line asks for goes on, lines behind that are not done." },
	  OF_BOTH },
	{ { COMMON_STATE,
	    .doc = "One word: stopped, starting, running, paused, stopping or failed; of a "
		   "container "
		   "also prepared, or preparing when it is so outside only. poll(2) and "
		   "inotify tell of changes." },
	  OF_BOTH },
	{ { COMMON_WAIT,
	    .doc = "Writing STATE [SECONDS] returns when the machine is in that state: EIO when it "
		   "comes to rest in another one and is not to be started again, EBUSY when the "
		   "time is over, EINTR by a signal, ^Z's too. Reading says the state and never "
		   "blocks. A "
		   "shell gets a signal when one of its jobs ends: with jobs, let a process of its "
		   "own wait, as in (echo stopped > wait). A user other than root may have 1024 "
		   "writes waiting; all together have 4096." },
	  OF_BOTH },
	{ { .name = "exit",
	    .changes = CHANGE_STATE,
	    .mode = 0444,
	    .show = show_exit,
	    .doc = "How the machine last ended: exited N, signaled N, poweroff, reset, or failed: "
		   "and why. Empty before its first end." },
	  OF_BOTH },
	{ { COMMON_ERROR,
	    .doc = "The last refusal: the errno's name and a sentence. start clears it." },
	  OF_BOTH },
	{ { COMMON_EVENTS,
	    .doc = "What happened to this machine, a line each: SEQ TIME OBJECT WHAT [DETAIL]. SEQ "
		   "counts this machine's events from 1. The last 64 KiB, as in the root's." },
	  OF_BOTH },
	{ { .name = "console",
	    .mode = 0600,
	    .kind = FILE_LOG,
	    .event = true,
	    .log_size = console_size,
	    .log_read = console_read,
	    .write = write_console,
	    .doc = "Reading: what the machine has printed, run after run; the last 1 MiB at "
		   "least is kept, also after its end. Writing: typed to it." },
	  OF_BOTH },
	{ { .name = "tty",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_tty,
	    .doc = "A link to a pty on the console, for screen and picocom." },
	  OF_BOTH },
	{ { .name = "vsock",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_vsock,
	    .doc = "A link to the directory of its vsock sockets, while it runs: see vsock.cid." },
	  OF(VM) },
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
	  OF_BOTH },
	{ { COMMON_UUID }, OF_BOTH },
	{ { COMMON_CREATED }, OF_BOTH },
	{ { .name = "pid",
	    .mode = 0444,
	    .show = show_pid,
	    .doc = "The process: a VM's monitor, a container's init. Empty when there is none." },
	  OF_BOTH },
	{ { .name = "proc",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_proc,
	    .doc = "A link to its directory in /proc." },
	  OF_BOTH },
	{ { .name = "rootfs",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_inside,
	    .doc = "A link to its root directory as it sees it, by way of /proc." },
	  OF_CONTAINER },
	{ { .name = "ns",
	    .mode = 0777,
	    .kind = FILE_LINK,
	    .show = show_inside,
	    .doc = "A link to its namespaces in /proc, for nsenter(1) and ip(8)." },
	  OF_CONTAINER },
	{ { .name = "memory.current",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Bytes of memory that it uses now." },
	  OF_BOTH },
	{ { .name = "memory.stat",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "What for, as cgroup v2's memory.stat." },
	  OF_BOTH },
	{ { .name = "memory.pressure",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Time lost for want of memory, as cgroup v2's; empty where the host has none." },
	  OF_BOTH },
	{ { .name = "cpu.stat",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "CPU time used, as cgroup v2's cpu.stat." },
	  OF_BOTH },
	{ { .name = "cpu.pressure",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "Time lost for want of CPU, as cgroup v2's; empty where the host has none." },
	  OF_BOTH },
	{ { .name = "pids.current",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "How many processes and threads it has." },
	  OF_BOTH },
	{ { .name = "cgroup.procs",
	    .mode = 0444,
	    .show = show_figure,
	    .doc = "The pids of its processes, as the host sees them; not of those that are in "
		   "groups which it made itself." },
	  OF_BOTH },
	{ { .name = "accounting",
	    .mode = 0444,
	    .show = show_accounting,
	    .doc = "OpenVZ's beancounters, as far as the kernel counts that: a table of resource, "
		   "held, maxheld, barrier, limit, failcnt; - is what it does not say. kmemsize "
		   "and "
		   "dcachesize are bytes, the sizes of others pages. Empty while it does not "
		   "run." },
	  OF_CONTAINER },
	{ { .name = "quota.stat",
	    .mode = 0444,
	    .show = show_quota,
	    .doc = "While it runs, and its overlay has a file system of its own, see quota: how "
		   "much is used, in lines all, user ID and group ID with bytes=N inodes=N, of "
		   "those that quota.user and quota.group name." },
	  OF_CONTAINER },
	{ { .name = "cpu.online",
	    .changes = CHANGE_STATE | CHANGE_CONFIG,
	    .event = true,
	    .mode = 0444,
	    .show = show_online,
	    .doc = "The vCPUs that the guest has brought up, a list; empty when it does not run." },
	  OF(VM) },
	{ { .name = "registers",
	    .changes = CHANGE_STATE,
	    .mode = 0400,
	    .show = show_registers,
	    .doc = "While the machine is paused, each vCPU's registers, VCPU NAME=VALUE...; "
		   "otherwise empty." },
	  OF(VM) },
	{ { .name = "vcpu",
	    .mode = 0555,
	    .kind = FILE_DIR,
	    .doc = "Its vCPUs while it runs, by their numbers: they come and go with cpu.count." },
	  OF(VM) },
	{ { .name = "memory.available",
	    .mode = 0444,
	    .show = show_available,
	    .doc = "Bytes that the guest could give without swapping, as it last said; 0 while "
		   "its balloon driver has said nothing." },
	  OF(VM) },
	{ { .name = "stat",
	    .mode = 0444,
	    .show = show_stat,
	    .doc = "All its counters in one read, KEY VALUE." },
	  OF_BOTH },
};

int machine_files(enum machine_kind kind, struct class *ret, struct err *e)
{
	const size_t rows = sizeof(machine_rows) / sizeof(machine_rows[0]);
	const struct schema *schema = machine_schema(kind);

	ret->nfiles = 0;
	ret->files = calloc(rows + PART_KINDS + schema_count(schema), sizeof(*ret->files));
	if (!ret->files)
		return err_sys(e, ENOMEM, "files");
	for (size_t i = 0; i < rows; i++)
		if (machine_rows[i].kinds & 1u << kind)
			ret->files[ret->nfiles++] = machine_rows[i].file;
	for (int k = 0; k < PART_KINDS; k++)
		if (part_kind_applies((enum part_kind)k, kind))
			ret->files[ret->nfiles++] = part_dir((enum part_kind)k);
	attr_files(ret, schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	return 0;
}
