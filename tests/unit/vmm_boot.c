/*
 * Boots one kernel on vm_engine, as a tool for the lab and for measuring by hand:
 *
 *   vmm_boot KERNEL INITRD|- CPUS MIB "CMDLINE" [ENDING [TEXT ACTION]...]
 *
 * Prints the console, waits for the machine's end (at most 60 s, VMM_BOOT_SECONDS changes it) and
 * says how long each step took. ENDING is poweroff, reset, failed or signaled. When TEXT has been
 * printed, ACTION is done: button, kill, pause (one second), reset, or type:WORDS.
 * Without arguments it skips.
 */
#include "tests/unit/harness_vm.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/vm.h"

static double limit_ms(void)
{
	const char *s = getenv("VMM_BOOT_SECONDS");

	return s ? atof(s) * 1e3 : 60e3;
}

static bool ended(struct machine *m)
{
	bool r;

	pthread_mutex_lock(&m->lock);
	r = m->endings > 0;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int act(struct machine *m, const char *action)
{
	if (!strcmp(action, "button"))
		return vm_engine.stop(m->self, &m->err);
	if (!strcmp(action, "kill"))
		return vm_engine.kill(m->self, &m->err);
	if (!strcmp(action, "reset"))
		return vm_engine.reset(m->self, &m->err);
	if (!strcmp(action, "pause")) {
		int r = vm_engine.pause(m->self, &m->err);

		sleep(1);
		return r ? r : vm_engine.resume(m->self, &m->err);
	}
	if (!strncmp(action, "type:", 5)) {
		char line[256];
		int n = snprintf(line, sizeof(line), "%s\n", action + 5);

		return vm_engine.input(m->self, line, (size_t)n) == (size_t)n ? 0 : -1;
	}
	return -1;
}

static void show(struct machine *m, size_t *shown)
{
	char buf[4096];
	ssize_t n;

	while ((n = pread(m->log, buf, sizeof(buf), (off_t)*shown)) > 0) {
		fwrite(buf, 1, (size_t)n, stderr);
		*shown += (size_t)n;
	}
}

/* Where a machine that does not end stands. */
static void show_vcpus(struct machine *m)
{
	struct vm *vm = m->self;

	vm_engine.pause(m->self, &m->err);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct kvm_regs regs = { 0 };
		struct kvm_mp_state state = { 0 };

		ioctl(vm->vcpus[i].fd, KVM_GET_REGS, &regs);
		ioctl(vm->vcpus[i].fd, KVM_GET_MP_STATE, &state);
		printf("# vcpu%u: rip 0x%llx rflags 0x%llx state %u\n", i, regs.rip, regs.rflags,
		       state.mp_state);
	}
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "exited", "signaled", "poweroff", "reset", "failed" };
	double began = now_ms(), until = began + limit_ms(), first = 0;
	size_t shown = 0, from = 0;
	struct machine m;
	int next = 7, r;

	if (argc < 6)
		skip_all("a tool for the lab: needs KERNEL INITRD CPUS MIB CMDLINE");
	machine_prepare(&m, argv[1], argv[5]);
	if (strcmp(argv[2], "-"))
		m.host.fd[ENGINE_FD_INITRD] = open(argv[2], O_RDONLY | O_CLOEXEC);
	m.config.cpu_count = strtoull(argv[3], NULL, 0);
	m.config.memory_size = strtoull(argv[4], NULL, 0) << 20;
	r = machine_go(&m);
	if (!ok(r == 0, "start: %s", m.err.text))
		return tap_done();
	printf("# started after %.1f ms\n", now_ms() - began);
	while (!ended(&m) && now_ms() < until) {
		if (!first && machine_printed(&m)) {
			first = now_ms();
			printf("# first byte after %.1f ms\n", first - began);
		}
		if (next + 1 < argc && machine_says_after(&m, from, argv[next], 0)) {
			size_t at = machine_printed(&m);

			printf("# \"%s\" after %.1f ms: %s\n", argv[next], now_ms() - began,
			       argv[next + 1]);
			ok(act(&m, argv[next + 1]) == 0, "%s", argv[next + 1]);
			if (strcmp(argv[next + 1], "reset") == 0)
				from = at;
			next += 2;
		}
		show(&m, &shown);
		machine_tick(&m);
	}
	show(&m, &shown);
	printf("# %s after %.1f ms: %s\n", ended(&m) ? "ended" : "still running", now_ms() - began,
	       m.endings ? names[m.ending.kind] : "");
	if (!ended(&m))
		show_vcpus(&m);
	ok(next + 1 >= argc, "everything that was waited for was printed");
	if (argc > 6)
		ok(m.endings == 1 && !strcmp(names[m.ending.kind], argv[6]), "it ended as %s: %s",
		   argv[6], m.ending.why);
	machine_free(&m);
	return tap_done();
}
