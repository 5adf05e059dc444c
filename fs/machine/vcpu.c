/* A VM's vCPUs in the tree: see vcpu.h. */
#include "fs/machine/vcpu.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/common_files.h"
#include "fs/daemon.h"
#include "fs/machine/link.h"
#include "vmm/cpu/cpu_topology.h"

struct vcpu_object {
	struct object object; /* first */
	unsigned number;
};

const char *const vcpu_exit_words[VCPU_FIGURES] = {
	[VCPU_EXITS_IO] = "io",
	[VCPU_EXITS_MMIO] = "mmio",
	[VCPU_EXITS_MSR] = "msr",
	[VCPU_EXITS_SIGNAL] = "signal",
};

static unsigned number_of(const struct object *o)
{
	return ((const struct vcpu_object *)o)->number;
}

static struct machine *machine_of(struct object *o)
{
	return object_machine(o->parent);
}

uint64_t vcpu_figure(const struct machine *m, unsigned vcpu, enum vcpu_figure figure)
{
	enum engine_counter at = COUNTER_VCPUS + vcpu * VCPU_FIGURES + figure;

	return m->link ? link_counter(m->link, at) : 0;
}

static bool is_online(const struct machine *m, unsigned vcpu)
{
	return m->link &&
	       link_counter(m->link, COUNTER_CPUS_ONLINE + vcpu / 64) & 1ull << vcpu % 64;
}

/* ---- objects ---- */

/* What a machine has while its monitor has one, nothing before and after. */
static bool is_there(const struct machine *m, unsigned vcpu)
{
	bool runs =
		m->state == STATE_RUNNING || m->state == STATE_PAUSED || m->state == STATE_STOPPING;

	return m->link && runs && (vcpu < m->config.cpu_count || is_online(m, vcpu));
}

static void vcpu_make(struct machine *m, unsigned number, const char *name)
{
	struct daemon *d = m->object.daemon;
	struct vcpu_object *v = calloc(1, sizeof(*v));
	uint64_t id = daemon_new_id(d, NULL);

	if (!v || !id)
		goto fail;
	v->number = number;
	v->object.in = class_file(m->object.class, "vcpu");
	if (object_init(&v->object, d, &d->classes[CLASS_VCPU], &m->object, id, name, NULL) < 0)
		goto fail;
	v->object.owner.mode = 0555;
	object_appear(&v->object);
	return;
fail:
	free(v); /* it is missing from the tree until the next change */
}

void vcpus_settle(struct machine *m)
{
	uint64_t n = m->kind == KIND_VM ? cpu_possible(&m->config) : 0;
	const struct file *in = class_file(m->object.class, "vcpu");

	for (size_t i = m->object.nchildren; i-- > 0;) {
		struct object *o = m->object.children[i];

		if (o->in == in && in && !is_there(m, number_of(o)))
			object_vanish(o);
	}
	for (unsigned i = 0; i < n && i < ENGINE_VCPUS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		if (is_there(m, i) && !object_child_in(&m->object, in, name))
			vcpu_make(m, i, name);
	}
}

/* Nothing of it is kept, and that neither. */
static int vcpu_chown(struct object *o, struct err *e)
{
	return 0;
}

static void vcpu_free(struct object *o)
{
	free(o);
}

/* ---- what the kernel says of its thread ---- */

static bool read_task(pid_t pid, pid_t thread, const char *name, struct text *out)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	text_read_fd(out, fd);
	close(fd);
	return out->len > 0;
}

/* The thread's number where it lives, which may be a pid namespace of the monitor's: NSpid's last.
 */
static uint64_t number_inside(pid_t pid, pid_t thread)
{
	static const char key[] = "\nNSpid:";
	struct text text = TEXT_INIT;
	const char *at =
		read_task(pid, thread, "status", &text) ? strstr(text_str(&text), key) : NULL;
	uint64_t number = 0;
	int n;

	for (at = at ? at + strlen(key) : ""; sscanf(at, "%*1[\t]%" SCNu64 "%n", &number, &n) == 1;)
		at += n;
	text_free(&text);
	return number;
}

/*
 * The vCPU's thread, or 0. What the monitor says of it is only a number: it is looked for among the
 * monitor's own.
 */
static pid_t find_thread(struct object *o)
{
	const struct machine *m = machine_of(o);
	uint64_t wanted = vcpu_figure(m, number_of(o), VCPU_THREAD);
	pid_t pid = m->link ? link_pid(m->link) : 0, found = 0;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	if (pid <= 0 || !wanted)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		pid_t thread = atoi(entry->d_name);

		if (thread > 0 && number_inside(pid, thread) == wanted)
			found = thread;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool read_thread(struct object *o, const char *name, struct text *out)
{
	pid_t thread = find_thread(o);

	return thread > 0 && read_task(link_pid(machine_of(o)->link), thread, name, out);
}

/* The letter behind the name in brackets, see proc(5). */
static char thread_state(struct object *o)
{
	struct text text = TEXT_INIT;
	const char *at = read_thread(o, "stat", &text) ? strrchr(text_str(&text), ')') : NULL;
	char state = at && at[1] == ' ' ? at[2] : '\0';

	text_free(&text);
	return state;
}

static void show_thread(struct object *o, const struct file *f, struct text *out)
{
	pid_t thread = find_thread(o);

	if (thread)
		text_addf(out, "%d\n", (int)thread);
}

static void show_state(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = machine_of(o);
	const char *word = "running";

	if (m->state == STATE_PAUSED)
		word = "paused";
	else if (!is_online(m, number_of(o)) && number_of(o) > 0)
		word = "offline";
	else if (thread_state(o) == 'S')
		word = "halted";
	text_addf(out, "%s\n", word);
}

static void show_affinity(struct object *o, const struct file *f, struct text *out)
{
	static const char key[] = "\nCpus_allowed_list:\t";
	struct text text = TEXT_INIT;
	const char *at = read_thread(o, "status", &text) ? strstr(text_str(&text), key) : NULL;

	if (at)
		text_addf(out, "%.*s\n", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
	text_free(&text);
}

static void show_stat(struct object *o, const struct file *f, struct text *out)
{
	struct text text = TEXT_INIT;
	uint64_t ran = 0, waited = 0;

	if (read_thread(o, "schedstat", &text))
		sscanf(text_str(&text), "%" SCNu64 " %" SCNu64, &ran, &waited);
	text_free(&text);
	text_addf(out, "usage_usec %" PRIu64 "\nwait_usec %" PRIu64 "\n", ran / 1000,
		  waited / 1000);
}

/* ---- what the monitor says ---- */

static void show_exits(struct object *o, const struct file *f, struct text *out)
{
	const struct machine *m = machine_of(o);
	uint64_t rest = vcpu_figure(m, number_of(o), VCPU_EXITS);

	for (int k = VCPU_EXITS_IO; k <= VCPU_EXITS_SIGNAL; k++) {
		uint64_t n = vcpu_figure(m, number_of(o), (enum vcpu_figure)k);

		text_addf(out, "%s %" PRIu64 "\n", vcpu_exit_words[k], n);
		/* One by a signal is no other's. */
		if (k != VCPU_EXITS_SIGNAL)
			rest -= n < rest ? n : rest;
	}
	text_addf(out, "other %" PRIu64 "\n", rest);
}

void vcpu_print_registers(const struct machine *m, unsigned vcpu, const char *before,
			  const char *between, struct text *out)
{
	static const char *const names[ENGINE_REGISTERS] = {
		"rip", "rflags", "rax", "rbx", "rcx", "rdx", "rsi",  "rdi",	"rbp",
		"rsp", "r8",	 "r9",	"r10", "r11", "r12", "r13",  "r14",	"r15",
		"cs",  "ss",	 "cr0", "cr2", "cr3", "cr4", "efer", "fs_base", "gs_base",
	};
	enum engine_counter at = COUNTER_REGISTERS + vcpu * ENGINE_REGISTERS;

	/* rflags is never 0: a vCPU that is not there */
	if (!m->link || m->state != STATE_PAUSED || !link_counter(m->link, at + 1))
		return;
	for (int k = 0; k < ENGINE_REGISTERS; k++)
		text_addf(out, "%s%s%s0x%" PRIx64, before, names[k], between,
			  link_counter(m->link, at + k));
}

static void show_registers(struct object *o, const struct file *f, struct text *out)
{
	struct text text = TEXT_INIT;

	vcpu_print_registers(machine_of(o), number_of(o), "\n", " ", &text);
	if (text.len)
		text_addf(out, "%s\n", text_str(&text) + 1);
	text_free(&text);
}

static const struct file files[] = {
	{ .name = "thread",
	  .mode = 0444,
	  .show = show_thread,
	  .doc = "The thread on the host that is this vCPU." },
	{ .name = "state",
	  .mode = 0444,
	  .show = show_state,
	  .doc = "One word: running, halted (it waits for an interrupt), offline (the guest does "
		 "not "
		 "use it) or paused." },
	{ .name = "affinity",
	  .mode = 0444,
	  .show = show_affinity,
	  .doc = "The host's CPUs that its thread may run on, as the kernel has it: see "
		 "cpu.affinity." },
	{ .name = "stat",
	  .mode = 0444,
	  .show = show_stat,
	  .doc = "KEY VALUE: usage_usec, the CPU time that it has had, and wait_usec, for how long "
		 "it had to wait for a CPU of the host." },
	{ .name = "exits",
	  .mode = 0444,
	  .show = show_exits,
	  .doc = "REASON COUNT: how often it has left the guest for the monitor to do something, "
		 "and "
		 "by signal, to be paused, say. What KVM does itself is not counted." },
	{ .name = "registers",
	  .mode = 0400,
	  .show = show_registers,
	  .doc = "While the machine is paused, NAME VALUE; otherwise empty." },
};

int vcpu_class(struct class *ret, struct err *e)
{
	ret->name = "vcpu";
	ret->mode = 0555;
	ret->chown = vcpu_chown;
	ret->free = vcpu_free;
	return files_init(ret, files, sizeof(files) / sizeof(files[0]), 0, e);
}
