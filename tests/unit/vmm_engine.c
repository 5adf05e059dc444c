/* vm_engine with the tiny guest on the real /dev/kvm: every verb, every ending, every refusal. */
#include "tests/unit/harness_vm.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "vmm/cpu/cpuid.h"
#include "vmm/vm.h"

#define LONG 5000

static void test_endings(void)
{
	static const struct {
		const char *cmdline;
		enum ending_kind kind;
		const char *why;
	} cases[] = {
		{ "poweroff", ENDING_POWEROFF, "" },
		{ "reboot", ENDING_RESET, "" },
		{ "reboot=acpi", ENDING_RESET, "" },
		{ "pci=40 reboot=acpi", ENDING_RESET, "" },
		{ "pci=40 reboot=kbd", ENDING_RESET, "" },
		{ "pci=40 reboot=bios", ENDING_RESET, "" },
		{ "reboot=kbd", ENDING_RESET, "" },
		{ "reboot=bios", ENDING_RESET, "" },
		{ "triple", ENDING_FAILED, "triple fault at rip 0x" },
		{ "badinsn", ENDING_FAILED, "KVM internal error: " },
	};
	struct machine m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = machine_start(&m, "tiny.elf", cases[i].cmdline);

		ok(r == 0 && machine_says(&m, "tiny: ready\n", LONG), "%s: boots%s",
		   cases[i].cmdline, m.err.text);
		ok(machine_ends(&m, cases[i].kind, LONG) &&
			   strncmp(m.ending.why, cases[i].why, strlen(cases[i].why)) == 0,
		   "%s: ends so: %s", cases[i].cmdline, m.ending.why);
		vm_engine.kill(m.self, NULL);
		ok(m.endings == 1, "%s: its end is told once", cases[i].cmdline);
		ok(vm_engine.reset(m.self, &m.err) == -EBUSY, "%s: reset comes too late",
		   cases[i].cmdline);
		machine_free(&m);
	}
}

static void test_boot_data(const char *guest, const char *how)
{
	struct machine m;
	FILE *f = tmpfile();
	// Beyond the hole where this host has as much.
	unsigned mib = host_mib() > 5 << 10 ? 5 << 10 : 64;
	char want[64];

	fputs("the initrd\n", f);
	fflush(f);
	machine_prepare(&m, guest, "how cmdline initrd memory");
	m.host.fd[ENGINE_FD_INITRD] = dup(fileno(f));
	m.config.memory_size = (uint64_t)mib << 20;
	ok(machine_go(&m) == 0, "%s starts with %u MiB and an initrd", guest, mib);
	snprintf(want, sizeof(want), "tiny: entered as %s\n", how);
	ok(machine_says(&m, want, LONG), "%s is entered as %s", guest, how);
	ok(machine_says(&m, "tiny: cmdline how cmdline initrd memory\n", LONG),
	   "%s: it sees its command line", guest);
	ok(machine_says(&m, "tiny: initrd 11 the initrd\n", LONG), "%s: it sees its initrd", guest);
	// All but the 388 KiB between 0x9f000 and 1 MiB.
	snprintf(want, sizeof(want), "tiny: memory %u\n", (mib << 10) - 388);
	ok(machine_says(&m, want, LONG), "%s: it sees its memory", guest);
	machine_free(&m);
	fclose(f);
}

static void test_input(void)
{
	enum { LINES = 400 };
	char text[LINES * 10 + 1];
	struct machine m;
	size_t n = 0, from;

	for (int i = 0; i < LINES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "line %04d\n", i);
	machine_start(&m, "tiny.elf", "echo poweroff");
	machine_says(&m, "tiny: echo\n", LONG);
	from = machine_printed(&m);
	ok(vm_engine.input(m.self, text, n) == n, "%zu bytes are typed at once", n);
	// Each byte is three exits, which nested in an emulated host take a millisecond.
	ok(machine_says_after(&m, from, text, 6 * LONG), "each comes back, in order");
	vm_engine.input(m.self, "x", 1);
	ok(machine_says_after(&m, from + n, "x", LONG), "one more byte wakes the guest");
	vm_engine.input(m.self, "\nq", 2);
	ok(machine_ends(&m, ENDING_POWEROFF, LONG), "the guest reads the end");
	ok(m.counters[COUNTER_CONSOLE_BYTES] == machine_printed(&m), "console bytes are counted");
	ok(m.counters[COUNTER_VCPUS + VCPU_EXITS_IO] > n, "exits are counted");
	machine_free(&m);
	machine_start(&m, "tiny.elf", "halt");
	machine_says(&m, "ready\n", LONG);
	n = 0;
	for (int i = 0; i < 100; i++)
		n += vm_engine.input(m.self, text, 1000);
	ok(n >= 16384 && n < 100000, "a guest that does not read takes %zu bytes, no more", n);
	machine_free(&m);
}

/* Half of what a guest does to look for PCI devices does not leave it. */
static void test_indexes(void)
{
	const uint64_t n = 4000;
	struct machine m;
	uint64_t exits;
	size_t from;

	ok(machine_start(&m, "tiny.elf", "pci=4000 halt") == 0 &&
		   machine_says(&m, "tiny: pci right\n", LONG),
	   "what is named by an index register is what is read then, and it reads back");
	exits = m.counters[COUNTER_VCPUS + VCPU_EXITS_IO];
	if (ioctl(m.host.fd[ENGINE_FD_KVM], KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0)
		ok(exits > n && exits < n + n / 2,
		   "to name it does not leave the guest: %ju exits for %ju reads", (uintmax_t)exits,
		   (uintmax_t)n);
	else
		skip("to name it does not leave the guest", "this KVM keeps no writes to ports");
	from = machine_printed(&m);
	ok(vm_engine.reset(m.self, &m.err) == 0 &&
		   machine_says_after(&m, from, "tiny: ready\ntiny: pci right\n", LONG),
	   "after a reset likewise");
	machine_free(&m);
}

static void test_pause(void)
{
	double worst = 0, sum = 0;
	struct machine m;
	size_t before;
	bool still = true, goes_on = true;

	machine_prepare(&m, "tiny.elf", "smp=2 count");
	m.config.cpu_count = 2;
	machine_go(&m);
	ok(machine_says(&m, "tiny: 2 cpus\n", LONG), "a second vCPU runs");
	machine_says(&m, "tiny: 1\n", LONG);
	for (int i = 0; i < 20; i++) {
		double t = now_ms();

		still &= vm_engine.pause(m.self, &m.err) == 0;
		still &= ((struct vm *)m.self)->parked == 2;
		t = now_ms() - t;
		sum += t;
		worst = t > worst ? t : worst;
		before = machine_printed(&m);
		usleep(10000);
		still &= machine_printed(&m) == before;
		vm_engine.resume(m.self, &m.err);
		goes_on &= machine_says_after(&m, before, "tiny: ", LONG);
	}
	ok(still, "nothing is printed while it is paused");
	ok(goes_on, "it goes on after resume");
	printf("# pause took %.3f ms on average, %.3f ms at worst\n", sum / 20, worst);
	for (int i = 0; i < 1000; i++) {
		vm_engine.pause(m.self, &m.err);
		vm_engine.resume(m.self, &m.err);
	}
	before = machine_printed(&m);
	ok(machine_says_after(&m, before, "tiny: ", LONG), "it still runs after 1000 quick pauses");
	vm_engine.pause(m.self, &m.err);
	vm_engine.pause(m.self, &m.err);
	vm_engine.kill(m.self, &m.err);
	ok(machine_ends(&m, ENDING_SIGNALED, LONG) && m.ending.code == 9, "a paused one is killed");
	machine_free(&m);
}

static void test_reset(void)
{
	struct machine m;
	struct vm *vm;
	size_t from;

	machine_prepare(&m, "tiny.elf", "smp=2 touch=1 echo");
	m.config.cpu_count = 2;
	machine_go(&m);
	vm = m.self;
	machine_says(&m, "tiny: touched\n", LONG);
	ok(vm->mem.host[16 << 20] == 1, "the guest wrote to its memory");
	from = machine_printed(&m);
	ok(vm_engine.reset(m.self, &m.err) == 0, "reset while it runs");
	ok(machine_says_after(&m, from, "tiny: ready\ntiny: 2 cpus\ntiny: touched\ntiny: echo\n",
			      LONG),
	   "it boots again, with both vCPUs");
	vm_engine.input(m.self, "abc", 3);
	ok(machine_says_after(&m, from, "abc", LONG), "interrupts work after a reset");
	vm_engine.pause(m.self, &m.err);
	from = machine_printed(&m);
	ok(vm_engine.reset(m.self, &m.err) == 0, "reset while it is paused");
	ok(vm->mem.host[16 << 20] == 0, "its memory is clear");
	usleep(20000);
	ok(machine_printed(&m) == from, "it stays paused");
	vm_engine.resume(m.self, &m.err);
	ok(machine_says_after(&m, from, "tiny: touched\n", LONG), "resume lets it boot");
	ok(m.counters[COUNTER_RESETS] == 2, "resets are counted");
	ok(m.endings == 0, "a reset by verb is no ending");
	machine_free(&m);
}

/* The kernel file is changed under a running machine. */
static void test_reset_fails(void)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC), from;
	char buf[65536];
	struct machine m;
	ssize_t n;

	machine_prepare(&m, "tiny.elf", "echo");
	from = m.host.fd[ENGINE_FD_KERNEL];
	n = read(from, buf, sizeof(buf));
	ok(n > 0 && write(fd, buf, (size_t)n) == n, "a kernel of its own");
	close(from);
	m.host.fd[ENGINE_FD_KERNEL] = fd;
	machine_go(&m);
	machine_says(&m, "ready\n", LONG);
	if (ftruncate(fd, 5000) < 0)
		perror("ftruncate");
	ok(vm_engine.reset(m.self, &m.err) == -EINVAL &&
		   strstr(m.err.text, "reset: boot.kernel: ") == m.err.text,
	   "reset is refused: %s", m.err.text);
	ok(machine_ends(&m, ENDING_FAILED, LONG) && !strcmp(m.ending.why, m.err.text),
	   "the machine has failed with the same sentence");
	machine_free(&m);
}

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void test_idle_and_button(void)
{
	struct machine m;
	double t;

	machine_start(&m, "tiny.elf", "button poweroff");
	machine_says(&m, "ready\n", LONG);
	usleep(50000);
	t = cpu_ms();
	usleep(500000);
	t = cpu_ms() - t;
	ok(t < 50, "a guest that halts used %.1f ms of CPU in 500 ms", t);
	ok(vm_engine.stop(m.self, &m.err) == 0, "the power button is pressed");
	ok(machine_says(&m, "tiny: power button\n", LONG), "the guest sees it");
	ok(machine_ends(&m, ENDING_POWEROFF, LONG), "and powers off");
	machine_free(&m);
}

static int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void test_leaks(void)
{
	int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
	int bad = 0, rounds = getenv("VMM_ROUNDS") ? atoi(getenv("VMM_ROUNDS")) : 200;
	struct machine m;

	for (int i = 0; i < rounds; i++) {
		bad += machine_start(&m, "tiny.elf", i % 2 ? "count" : "halt") != 0;
		if (i % 10 == 0)
			bad += !machine_says(&m, "ready\n", LONG);
		bad += vm_engine.kill(m.self, &m.err) != 0;
		bad += !(m.endings == 1 && m.ending.kind == ENDING_SIGNALED && m.ending.code == 9);
		machine_free(&m);
	}
	ok(bad == 0, "%d starts and kills", rounds);
	ok(count_entries("/proc/self/fd") == fds, "leave no descriptor behind");
	ok(count_entries("/proc/self/task") == tasks, "and no thread");
}

static void test_two(void)
{
	struct machine a, b;

	machine_start(&a, "tiny.elf", "count");
	machine_start(&b, "tiny.elf", "echo poweroff");
	ok(machine_says(&a, "tiny: 100\n", LONG) && machine_says(&b, "tiny: echo\n", LONG),
	   "two VMs run in one process");
	vm_engine.pause(a.self, &a.err);
	vm_engine.input(b.self, "here\n", 5);
	ok(machine_says(&b, "here\n", LONG), "pausing one leaves the other alone");
	vm_engine.input(b.self, "q", 1);
	ok(machine_ends(&b, ENDING_POWEROFF, LONG) && a.endings == 0, "so does one's end");
	machine_free(&b);
	vm_engine.resume(a.self, &a.err);
	ok(machine_says_after(&a, machine_printed(&a), "tiny: ", LONG), "the first goes on");
	machine_free(&a);
}

static void expect_refusal(struct machine *m, const char *what, int code, const char *sentence)
{
	int fds, r;

	fds = count_entries("/proc/self/fd");
	r = machine_go(m);
	ok(r == code && strncmp(m->err.text, sentence, strlen(sentence)) == 0 && !m->self &&
		   m->endings == 0,
	   "%s: %d %s", what, r, m->err.text);
	ok(count_entries("/proc/self/fd") == fds, "%s: nothing is left open", what);
	machine_free(m);
}

static void test_refusals(void)
{
	struct machine m;
	char *line = malloc(5000);
	int big = memfd_create("big", MFD_CLOEXEC);

	machine_prepare(&m, NULL, "");
	expect_refusal(&m, "no kernel", -EINVAL, "boot.kernel: no kernel is set");
	machine_prepare(&m, NULL, "");
	m.host.fd[ENGINE_FD_KERNEL] = memfd_create("text", MFD_CLOEXEC);
	if (write(m.host.fd[ENGINE_FD_KERNEL], "#!/bin/sh\n", 10) != 10)
		perror("write");
	expect_refusal(&m, "a text file", -EINVAL, "boot.kernel: not a bzImage or an ELF file");
	machine_prepare(&m, "/dev/null", "");
	expect_refusal(&m, "an empty file", -EINVAL, "boot.kernel: the file is empty");
	machine_prepare(&m, "tiny.elf", "");
	m.config.memory_size = (uint64_t)1 << 50;
	expect_refusal(&m, "1 PiB of memory", -ENOSPC, "memory.size: 1073741824 MiB is more than");
	machine_prepare(&m, "tiny.elf", "");
	m.config.memory_size = (64 << 20) + 1;
	expect_refusal(&m, "odd memory", -EINVAL, "memory.size: 67108865 is not a multiple");
	machine_prepare(&m, "tiny.elf", "");
	m.config.memory_size = 1 << 20;
	expect_refusal(&m, "1 MiB of memory", -EINVAL, "memory.size: ");
	machine_prepare(&m, "tiny.elf", "");
	m.config.cpu_count = 0;
	expect_refusal(&m, "no vCPUs", -EINVAL, "cpu.count: ");
	machine_prepare(&m, "tiny.elf", "");
	m.config.cpu_count = 1000000;
	expect_refusal(&m, "a million vCPUs", -ENXIO, "cpu.count: 1000000 is more than the ");
	machine_prepare(&m, "tiny.elf", "");
	if (ftruncate(big, 64 << 20) < 0)
		perror("ftruncate");
	m.host.fd[ENGINE_FD_INITRD] = big;
	expect_refusal(&m, "an initrd as large as the memory", -EINVAL, "boot.initrd: ");
	memset(line, 'x', 4999);
	line[4999] = 0;
	machine_prepare(&m, "tiny.elf", line);
	expect_refusal(&m, "a long command line", -EINVAL, "boot.cmdline: 4999 bytes are more");
	machine_prepare(&m, "tiny.elf", "");
	close(m.host.fd[ENGINE_FD_KVM]);
	m.host.fd[ENGINE_FD_KVM] = -1;
	expect_refusal(&m, "no /dev/kvm", -ENXIO, "/dev/kvm: ");
	machine_prepare(&m, "tiny.elf", "");
	close(m.host.fd[ENGINE_FD_KVM]);
	m.host.fd[ENGINE_FD_KVM] = open("/dev/null", O_RDWR | O_CLOEXEC);
	expect_refusal(&m, "a /dev/kvm that is none", -ENXIO, "/dev/kvm: ");
	free(line);
}

/* What one that waited has asked KVM is not asked again: here it comes without SSE2. */
static void test_prepared(void)
{
	struct cpuid *c, now;
	struct machine m;
	void *prepared;

	vm_engine.prepare(&prepared);
	c = prepared;
	ok(c && cpuid_read(&now, open("/dev/kvm", O_RDWR | O_CLOEXEC), NULL) == 0 &&
		   c->head.nent == now.head.nent,
	   "what is prepared is what KVM supports");
	machine_prepare(&m, "tiny.elf", "hello poweroff");
	m.host.prepared = c;
	ok(machine_go(&m) == 0 && machine_ends(&m, ENDING_POWEROFF, LONG), "a machine runs by it");
	machine_free(&m);
	if (c)
		cpuid_leaf(c, 1, 0)->edx &= ~(1u << 26);
	machine_prepare(&m, "tiny.elf", "");
	m.config.vm.cpu_model = strdup("host +sse2");
	m.host.prepared = c;
	expect_refusal(&m, "a flag that what was prepared has not", -ENXIO, "cpu.model: ");
	vm_engine.forget(c);
}

int main(void)
{
	need_kvm();
	test_endings();
	test_boot_data("tiny.elf", "elf64");
	test_boot_data("tiny-pvh.elf", "pvh32");
	test_input();
	test_indexes();
	test_pause();
	test_reset();
	test_reset_fails();
	test_idle_and_button();
	test_two();
	test_refusals();
	test_prepared();
	test_leaks();
	return tap_done();
}
