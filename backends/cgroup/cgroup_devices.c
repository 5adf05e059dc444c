/*
 * Which device nodes the processes of a group may make and open: the common runtimes' list, and
 * what a machine has of its own.
 *
 * v1 has a controller with a list. v2 runs a BPF program at each open and mknod (kernel
 * document cgroup-v2, "Device controller"); the program is built here from the same table,
 * loaded once for the host and attached to each group. A machine with devices of its own gets a
 * program of its own, put in the place of that one.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY (-1)

#define ALL (DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD)

struct device_rule {
	char type; /* 'c' or 'b' */
	int major, minor;
	uint64_t access; /* enum device_permission */
};

/* Nodes of any number may be made (a package may bring them), but only these be opened. */
static const struct device_rule rules[] = {
	{ 'c', ANY, ANY, DEVICE_MKNOD },
	{ 'b', ANY, ANY, DEVICE_MKNOD },
	{ 'c', 1, 3, ALL },	/* null */
	{ 'c', 1, 5, ALL },	/* zero */
	{ 'c', 1, 7, ALL },	/* full */
	{ 'c', 1, 8, ALL },	/* random */
	{ 'c', 1, 9, ALL },	/* urandom */
	{ 'c', 5, 0, ALL },	/* tty */
	{ 'c', 5, 1, ALL },	/* console */
	{ 'c', 5, 2, ALL },	/* ptmx */
	{ 'c', 136, ANY, ALL }, /* pts */
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

/* Six instructions a rule at most, three in front, two behind. */
#define PROGRAM_MAX ((RULE_COUNT + PARTS_MAX) * 6 + 5)

static void number_or_star(char *out, size_t size, int number)
{
	if (number == ANY)
		strcpy(out, "*");
	else
		snprintf(out, size, "%d", number);
}

static int write_v1(int dir, const char *file, const struct device_rule *rule)
{
	char major[12], minor[12], line[40];

	number_or_star(major, sizeof(major), rule->major);
	number_or_star(minor, sizeof(minor), rule->minor);
	snprintf(line, sizeof(line), "%c %s:%s %s%s%s", rule->type, major, minor,
		 rule->access & DEVICE_READ ? "r" : "", rule->access & DEVICE_WRITE ? "w" : "",
		 rule->access & DEVICE_MKNOD ? "m" : "");
	return cgroup_write_file(dir, file, line);
}

static int allow_common_v1(int dir)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < RULE_COUNT; i++)
		r = write_v1(dir, "devices.allow", &rules[i]);
	return r;
}

static int restrict_v1(int dir)
{
	int r = cgroup_write_file(dir, "devices.deny", "a");

	return r == 0 ? allow_common_v1(dir) : r;
}

static struct device_rule rule_of(const struct device_access *d)
{
	return (struct device_rule){ d->type, (int)d->major, (int)d->minor, d->access };
}

/* What is allowed before and behind stays so in between. */
static int change_v1(int dir, const struct device_access *now, size_t nnow,
		     const struct device_access *then, size_t nthen)
{
	bool denied = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < nnow; i++) {
		struct device_rule rule = rule_of(&now[i]);

		for (size_t j = 0; j < nthen; j++)
			if (then[j].type == now[i].type && then[j].major == now[i].major &&
			    then[j].minor == now[i].minor)
				rule.access &= ~then[j].access;
		if (!rule.access)
			continue;
		denied = true;
		r = write_v1(dir, "devices.deny", &rule);
	}
	if (r == 0 && denied) // it may have been one of the common ones
		r = allow_common_v1(dir);
	for (size_t i = 0; r == 0 && i < nthen; i++) {
		struct device_rule rule = rule_of(&then[i]);

		if (rule.access)
			r = write_v1(dir, "devices.allow", &rule);
	}
	return r;
}

static unsigned int access_bits(uint64_t access)
{
	return (access & DEVICE_READ ? BPF_DEVCG_ACC_READ : 0) |
	       (access & DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0) |
	       (access & DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0);
}

/* Field of struct bpf_cgroup_dev_ctx into a register. */
static struct bpf_insn load(int reg, size_t field)
{
	return (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W,
				  .dst_reg = reg & 0xf,
				  .src_reg = BPF_REG_1,
				  .off = (short)field };
}

/* Skips so many instructions when reg op value is so. */
static struct bpf_insn skip_if(int op, int reg, int value, size_t skip)
{
	return (struct bpf_insn){
		.code = (__u8)(BPF_JMP | op | BPF_K),
		.dst_reg = reg & 0xf,
		.off = (short)skip,
		.imm = value,
	};
}

static struct bpf_insn set(int reg, int value)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K,
				  .dst_reg = reg & 0xf,
				  .imm = value };
}

static struct bpf_insn leave(void)
{
	return (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
}

/*
 * Register 2 is the type in its low and the access in its high half, 4 major, 5 minor. A rule
 * is a comparison for each thing it names, each of which jumps to the next rule on a mismatch;
 * BPF_JSET tests that nothing beyond the rule's accesses is asked for.
 */
static size_t add_rule(struct bpf_insn *out, const struct device_rule *rule)
{
	unsigned int type = rule->type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK;
	unsigned int others = 7 & ~access_bits(rule->access);
	size_t total = 3 + (others != 0) + (rule->major != ANY) + (rule->minor != ANY), n = 0;

	/* The type: one bit is enough, there are two. */
	out[n] = skip_if(BPF_JSET, BPF_REG_2, (int)(3 & ~type), total - n - 1);
	n++;
	if (others) {
		out[n] = skip_if(BPF_JSET, BPF_REG_2, (int)(others << 16), total - n - 1);
		n++;
	}
	if (rule->major != ANY) {
		out[n] = skip_if(BPF_JNE, BPF_REG_4, rule->major, total - n - 1);
		n++;
	}
	if (rule->minor != ANY) {
		out[n] = skip_if(BPF_JNE, BPF_REG_5, rule->minor, total - n - 1);
		n++;
	}
	out[n++] = set(BPF_REG_0, 1);
	out[n++] = leave();
	return n;
}

static size_t build_program(struct bpf_insn *out, const struct device_access *own, size_t count)
{
	size_t n = 0;

	out[n++] = load(BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	out[n++] = load(BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
	out[n++] = load(BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
	for (size_t i = 0; i < RULE_COUNT; i++)
		n += add_rule(out + n, &rules[i]);
	for (size_t i = 0; i < count; i++) {
		struct device_rule rule = rule_of(&own[i]);

		if (rule.access)
			n += add_rule(out + n, &rule);
	}
	out[n++] = set(BPF_REG_0, 0);
	out[n++] = leave();
	return n;
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load_program(const struct device_access *own, size_t count)
{
	struct bpf_insn program[PROGRAM_MAX];
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (__u32)build_program(program, own, count);
	attr.insns = (__u64)(uintptr_t)program;
	attr.license = (__u64)(uintptr_t) "MIT";
	strcpy(attr.prog_name, "machinefs_dev");
	fd = bpf(BPF_PROG_LOAD, &attr); // O_CLOEXEC by nature
	return fd < 0 ? -errno : fd;
}

bool cgroup_load_devices(struct cgroup_host *h)
{
	if (h->device_program < 0 && geteuid() == 0) {
		int fd = load_program(NULL, 0);

		h->device_program = fd < 0 ? -1 : fd;
	}
	return h->device_program >= 0 || geteuid() != 0;
}

/* In the place of `old`, or beside nothing where that is -1. */
static int attach(int dir, int program, int old)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (__u32)dir;
	attr.attach_bpf_fd = (__u32)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI | (old >= 0 ? BPF_F_REPLACE : 0);
	attr.replace_bpf_fd = old >= 0 ? (__u32)old : 0;
	return bpf(BPF_PROG_ATTACH, &attr) < 0 ? -errno : 0;
}

/* The program that the group has: it is ours, since only we attach one to a machine's group. */
static int attached(int dir)
{
	union bpf_attr attr;
	__u32 id = 0;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (__u32)dir;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (__u64)(uintptr_t)&id;
	attr.query.prog_cnt = 1;
	if (bpf(BPF_PROG_QUERY, &attr) < 0)
		return -errno;
	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	return fd < 0 ? -errno : fd;
}

static int change_v2(int dir, const struct device_access *own, size_t count)
{
	int old = attached(dir), program, r;

	if (old < 0)
		return old;
	program = load_program(own, count);
	r = program < 0 ? program : attach(dir, program, old);
	close(old);
	if (program >= 0)
		close(program);
	return r;
}

int cgroup_open_devices(const struct cgroup *g)
{
	bool v2 = false;
	int dir = cgroup_dir(g, NEED_DEVICES, &v2);

	return geteuid() != 0 || dir < 0 ? -1 : fcntl(dir, F_DUPFD_CLOEXEC, 3);
}

int cgroup_allow_devices(int dir, const struct device_access *now, size_t nnow,
			 const struct device_access *then, size_t nthen, struct err *e)
{
	int r = nthen > PARTS_MAX      ? -EINVAL
		: cgroup_fd_is_v2(dir) ? change_v2(dir, then, nthen)
				       : change_v1(dir, now, nnow, then, nthen);

	return r < 0 ? err_sys(e, -r, "allowing devices") : 0;
}

int cgroup_restrict_devices(struct cgroup *g, struct err *e)
{
	bool v2 = false;
	int dir = cgroup_dir(g, NEED_DEVICES, &v2), r;

	/* A user namespace can make no device nodes, and an ordinary user has no other. */
	if (geteuid() != 0)
		return 0;
	if (dir < 0)
		return err_set(e, -ENXIO, "this host's control groups cannot restrict devices");
	r = v2 ? attach(dir, g->host->device_program, -1) : restrict_v1(dir);
	return r < 0 ? err_sys(e, -r, "restricting devices") : 0;
}
