/*
 * The settings of virtual machines: see machine_attrs.c.
 */
#include "backends/base/cpulist.h"
#include "fs/attr/attr.h"

#define AT(field) .offset = offsetof(struct machine_config, field)

static const char *const action_words[] = { "none", "reset", "poweroff", "pause", "fail", NULL };
static const char *const serial_words[] = { "uart", "virtio", "both", NULL };
static const char *const backing_words[] = { "thp", "small", "hugetlb 2M", "hugetlb 1G", NULL };

static const struct attr rows[] = {
	{ .name = "cpu.count",
	  .type = &attr_number,
	  AT(cpu_count),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .min = 1,
	  .max = 1024,
	  .initial = "1",
	  .doc = "How many vCPUs the machine has. A start is refused where KVM allows fewer. While "
		 "it "
		 "runs, up to cpu.possible: those that are added come at once, and are used when "
		 "the "
		 "guest brings them up; those that are taken away, the last ones, go when the "
		 "guest "
		 "has let go of them. cpu.online tells.",
	  .good = "4",
	  .bad = "0" },
	{ .name = "cpu.possible",
	  .type = &attr_number,
	  AT(vm.cpu_possible),
	  .min = 1,
	  .max = 1024,
	  .initial = "1",
	  .doc = "How many vCPUs there is room for: as far as cpu.count can be raised while the "
		 "machine runs. When it is less than cpu.count, cpu.count cannot be raised.",
	  .good = "8",
	  .bad = "0" },
	{ .name = "cpu.model",
	  .type = &attr_cpu_model,
	  AT(vm.cpu_model),
	  .max = 1000,
	  .initial = "host",
	  .doc = "Which processor the guest sees: host, with all that the host's KVM can give; or "
		 "x86-64-v2, x86-64-v3, x86-64-v4, Nehalem, SandyBridge, Haswell, Skylake-Server, "
		 "Icelake-Server, EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa, which are the same on "
		 "every host. +FLAG adds a feature, -FLAG takes one away, by their names in "
		 "/proc/cpuinfo. A start is refused, with the flag's name, where the host lacks "
		 "one. Flags that tell of the processor's faults are given where the host has "
		 "them, in every model.",
	  .good = "x86-64-v2 +aes -vme",
	  .bad = "8086" },
	{ .name = "cpu.topology",
	  .type = &attr_cpu_topology,
	  AT(vm.cpu_topology),
	  .initial = "auto",
	  .doc = "How vCPUs are sorted into sockets, cores and threads; their product must be "
		 "cpu.count, or cpu.possible when that is more. auto is one socket of cores with "
		 "one thread.",
	  .good = "sockets=1 cores=2 threads=2",
	  .bad = "sockets=0 cores=1 threads=1" },
	{ .name = "cpu.affinity",
	  .type = &attr_cpu_affinity,
	  AT(vm.cpu_affinity),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .max = 255,
	  .doc = "On which of the host's CPUs each vCPU's thread runs; without a line, on those of "
		 "the nodes that its memory is bound to, or on any.",
	  .good = "0-1 0",
	  .bad = "0 all" },
	{ .name = "memory.size",
	  .type = &attr_size,
	  AT(memory_size),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .min = 1 << 20,
	  .max = 1ULL << 46,
	  .initial = "256M",
	  .doc = "The guest's RAM. While it runs, up to memory.possible, in steps of 2 MiB "
		 "(Linux's "
		 "driver wants 128 MiB), and not below what it was started with; the guest takes "
		 "and gives it as it can: memory.plugged in stat.",
	  .good = "512M",
	  .bad = "1K" },
	{ .name = "memory.possible",
	  .type = &attr_size,
	  AT(vm.memory_possible),
	  .min = 1 << 20,
	  .max = 1ULL << 46,
	  .initial = "1M",
	  .doc = "How much RAM there is room for: as far as memory.size can be raised while the "
		 "machine runs. When it is less than memory.size, memory.size cannot be raised.",
	  .good = "4G",
	  .bad = "1K" },
	{ .name = "memory.balloon",
	  .type = &attr_size,
	  AT(vm.memory_balloon),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .min = 0,
	  .max = 1ULL << 46,
	  .initial = "0",
	  .doc = "How much of its RAM the guest is asked to give back; balloon.current in stat "
		 "says "
		 "how much it has. What it needs badly it takes again.",
	  .good = "64M",
	  .bad = "half" },
	{ .name = "memory.backing",
	  .type = &attr_word,
	  AT(vm.memory_backing),
	  .words = backing_words,
	  .initial = "thp",
	  .doc = "Which pages of the host's the guest's RAM is made of: thp, small ones and where "
		 "the kernel can, huge ones; small; or huge pages of the host's pool. A start is "
		 "refused when the pool has too few.",
	  .good = "hugetlb 2M",
	  .bad = "hugetlb" },
	{ .name = "memory.prealloc",
	  .type = &attr_bool,
	  AT(vm.memory_prealloc),
	  .initial = "0",
	  .doc = "Whether the host gives all of the guest's RAM at the start, or none starts. "
		 "Otherwise it gives what the guest uses, when it does.",
	  .good = "1",
	  .bad = "all" },
	{ .name = "memory.lock",
	  .type = &attr_bool,
	  AT(vm.memory_lock),
	  .initial = "0",
	  .doc = "Whether what the guest uses of its RAM is never swapped out. An owner who is "
		 "not root needs a limit of locked memory as large as memory.size.",
	  .good = "1",
	  .bad = "on" },
	{ .name = "memory.merge",
	  .type = &attr_bool,
	  AT(vm.memory_merge),
	  .initial = "0",
	  .doc = "Whether the host's KSM may merge pages that are the same in several guests. It "
		 "saves memory and lets guests guess at each other's content.",
	  .good = "1",
	  .bad = "ksm" },
	{ .name = "memory.numa",
	  .type = &attr_cpulist,
	  AT(vm.memory_numa),
	  .max = CPULIST_MAX,
	  .doc = "The nodes of the host that RAM comes from; when empty, any. numa/N/host says it "
		 "for a node of the guest. vCPUs run on the CPUs of these nodes, unless "
		 "cpu.affinity has a line for them.",
	  .good = "0",
	  .bad = "first" },
	{ .name = "serial",
	  .type = &attr_word,
	  AT(vm.serial),
	  .words = serial_words,
	  .initial = "uart",
	  .doc = "Which device its console is: a 16550A serial port (ttyS0 in Linux), a virtio "
		 "console (hvc0), or both. Whatever is printed on either is in console; what is "
		 "written there is typed on the one that the guest last printed on.",
	  .good = "both",
	  .bad = "ttyS0" },
	{ .name = "rng",
	  .type = &attr_bool,
	  AT(vm.rng),
	  .initial = "1",
	  .doc = "Whether it has a virtio device that gives it random numbers of the host's.",
	  .good = "0",
	  .bad = "urandom" },
	{ .name = "panic",
	  .type = &attr_word,
	  AT(vm.panic),
	  .flags = ATTR_LIVE | ATTR_ENGINE,
	  .words = action_words,
	  .initial = "none",
	  .doc = "What becomes of the machine when its kernel crashes and says so by pvpanic: it "
		 "is "
		 "reset, as by the verb; it ends as if it had powered itself off, or as failed; it "
		 "is paused, so that it can be looked into; or none, and the kernel does what it "
		 "was told. events has it "
		 "in any case.",
	  .good = "pause",
	  .bad = "reboot" },
	{ .name = "dump.path",
	  .type = &attr_path,
	  AT(vm.dump_path),
	  .flags = ATTR_LIVE,
	  .doc = "Where the verb dump writes the machine's memory and registers to, as a core file "
		 "that gdb and crash read: a file of the owner's that is there and empty.",
	  .good = "/var/tmp/core",
	  .bad = "core" },
	{ .name = "watchdog",
	  .type = &attr_word,
	  AT(vm.watchdog),
	  .words = action_words,
	  .initial = "none",
	  .doc = "What becomes of the machine when the guest does not wind up its watchdog in "
		 "time; "
		 "with none it has no watchdog. ACPI tells of it; Linux's driver is wdat_wdt.",
	  .good = "reset",
	  .bad = "1" },
	{ .name = "boot.kernel",
	  .type = &attr_path,
	  AT(vm.kernel),
	  .flags = ATTR_FILE_PATH,
	  .doc = "The Linux kernel to boot: a bzImage, or an ELF file with a 64-bit entry or a "
		 "PVH note.",
	  .good = "/etc/passwd",
	  .bad = "vmlinuz" },
	{ .name = "boot.initrd",
	  .type = &attr_path,
	  AT(vm.initrd),
	  .flags = ATTR_FILE_PATH,
	  .doc = "Its initial RAM disk, or nothing.",
	  .good = "/etc/passwd",
	  .bad = "./initrd" },
	{ .name = "boot.cmdline",
	  .type = &attr_string,
	  AT(vm.cmdline),
	  .max = 2047,
	  .initial = "console=ttyS0",
	  .doc = "Its command line.",
	  .good = "console=ttyS0 quiet",
	  .bad = "console=\001" },
	{ .name = "vsock.cid",
	  .type = &attr_number,
	  AT(vm.vsock_cid),
	  .max = 0xfffffffe,
	  .initial = "0",
	  .doc = "Its number among stream sockets between guest and host (virtio-vsock), from 3 "
		 "on; "
		 "with 0 it has none. On the host these are UNIX sockets in the directory that the "
		 "link vsock leads to: who connects to vsock there says CONNECT PORT, and is "
		 "answered OK and a number when the guest accepts; who listens at vsock_PORT is "
		 "connected when the guest connects to PORT of number 2.",
	  .good = "3",
	  .bad = "4294967295" },
	{ .name = "vsock.vhost",
	  .type = &attr_bool,
	  AT(vm.vsock_vhost),
	  .initial = "0",
	  .doc = "Whether vsock.cid is a number among the host's own sockets instead (AF_VSOCK, "
		 "served by the kernel: /dev/vhost-vsock): every program of the host's can then "
		 "connect to the guest by its number, and the guest to whatever listens there. No "
		 "two machines of a host may have the same. Only root may ask for it.",
	  .good = "1",
	  .bad = "host" },
};

const struct attr_table vm_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
