/*
 * Which device nodes the processes of a group may make and open: the common runtimes' list.
 *
 * v1 has a controller with a list. v2 runs a BPF program at each open and mknod (kernel
 * document cgroup-v2, "Device controller"); the program is built here from the same table,
 * loaded once for the host and attached to each group.
 */
#include "backends/cgroup_priv.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANY (-1)

/* Nodes of any number may be made (a package may bring them), but only these be opened. */
static const struct device_rule {
	char type; /* 'c' or 'b' */
	int major, minor;
	const char *access;
} rules[] = {
	{ 'c', ANY, ANY, "m" },	  { 'b', ANY, ANY, "m" }, { 'c', 1, 3, "rwm" }, /* null */
	{ 'c', 1, 5, "rwm" },							/* zero */
	{ 'c', 1, 7, "rwm" },							/* full */
	{ 'c', 1, 8, "rwm" },							/* random */
	{ 'c', 1, 9, "rwm" },							/* urandom */
	{ 'c', 5, 0, "rwm" },							/* tty */
	{ 'c', 5, 1, "rwm" },							/* console */
	{ 'c', 5, 2, "rwm" },							/* ptmx */
	{ 'c', 136, ANY, "rwm" },						/* pts */
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

/* Six instructions a rule at most, three in front, two behind. */
#define PROGRAM_MAX (RULE_COUNT * 6 + 5)

static void number_or_star(char *out, size_t size, int number)
{
	if (number == ANY)
		strcpy(out, "*");
	else
		snprintf(out, size, "%d", number);
}

static int restrict_v1(int dir)
{
	int r = cgroup_write_file(dir, "devices.deny", "a");

	for (size_t i = 0; r == 0 && i < RULE_COUNT; i++) {
		char major[12], minor[12], line[40];

		number_or_star(major, sizeof(major), rules[i].major);
		number_or_star(minor, sizeof(minor), rules[i].minor);
		snprintf(line, sizeof(line), "%c %s:%s %s", rules[i].type, major, minor,
			 rules[i].access);
		r = cgroup_write_file(dir, "devices.allow", line);
	}
	return r;
}

static unsigned int access_bits(const char *access)
{
	return (strchr(access, 'r') ? BPF_DEVCG_ACC_READ : 0) |
	       (strchr(access, 'w') ? BPF_DEVCG_ACC_WRITE : 0) |
	       (strchr(access, 'm') ? BPF_DEVCG_ACC_MKNOD : 0);
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

static size_t build_program(struct bpf_insn *out)
{
	size_t n = 0;

	out[n++] = load(BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	out[n++] = load(BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
	out[n++] = load(BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
	for (size_t i = 0; i < RULE_COUNT; i++)
		n += add_rule(out + n, &rules[i]);
	out[n++] = set(BPF_REG_0, 0);
	out[n++] = leave();
	return n;
}

static int load_program(void)
{
	struct bpf_insn program[PROGRAM_MAX];
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (__u32)build_program(program);
	attr.insns = (__u64)(uintptr_t)program;
	attr.license = (__u64)(uintptr_t) "MIT";
	strcpy(attr.prog_name, "machinefs_dev");
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)); // O_CLOEXEC by nature
	return fd < 0 ? -errno : (int)fd;
}

bool cgroup_load_devices(struct cgroup_host *h)
{
	if (h->device_program < 0 && geteuid() == 0) {
		int fd = load_program();

		h->device_program = fd < 0 ? -1 : fd;
	}
	return h->device_program >= 0 || geteuid() != 0;
}

static int restrict_v2(struct cgroup_host *h, int dir)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (__u32)dir;
	attr.attach_bpf_fd = (__u32)h->device_program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0 ? -errno : 0;
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
	r = v2 ? restrict_v2(g->host, dir) : restrict_v1(dir);
	return r < 0 ? err_sys(e, -r, "restricting devices") : 0;
}
