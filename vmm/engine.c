/*
 * vm_engine: the operations of backends/engine.h on a struct vm. The room's only entry.
 *
 * System calls of the loop thread, for whoever confines it. start and reset: ioctl
 * (KVM_GET_API_VERSION to KVM_SET_REGS, see vm.c and vcpu.c), mmap, munmap, mprotect, madvise, brk,
 * sysinfo, fstat, pread64, rt_sigaction, rt_sigprocmask, clone3, close. After that: ioctl
 * (KVM_IRQ_LINE, KVM_KVMCLOCK_CTRL), futex, tgkill, getpid. The vCPU threads' are in vcpu.c.
 */
#include "backends/engine.h"

#include <errno.h>
#include <signal.h>

#include "vmm/pm.h"
#include "vmm/uart.h"
#include "vmm/vm.h"

static int engine_start(struct engine_host *host, void **ret_self, struct err *e)
{
	struct vm *vm;
	int r = vm_new(host, &vm, e);

	if (r < 0)
		return r;
	*ret_self = vm; // before the guest runs, which may end at once
	vm_run(vm);
	return 0;
}

static pid_t engine_pid(void *self)
{
	return 0;
}

static int engine_stop(void *self, struct err *e)
{
	struct vm *vm = self;

	pm_power_button(vm->pm);
	return 0;
}

static int engine_kill(void *self, struct err *e)
{
	vm_end(self, ENDING_SIGNALED, SIGKILL, "");
	return 0;
}

static int engine_pause(void *self, struct err *e)
{
	vm_pause(self);
	return 0;
}

static int engine_resume(void *self, struct err *e)
{
	vm_run(self);
	return 0;
}

/* A paused machine stays paused. One that cannot be built again has ended. */
static int engine_reset(void *self, struct err *e)
{
	struct vm *vm = self;
	bool paused = vm_paused(vm);
	struct err why = { 0 };
	int r = vm_reset(vm, &why);

	if (r == -EBUSY)
		return err_set(e, r, "%s", why.text);
	if (r < 0) {
		err_prefix(&why, "reset: ");
		vm_end(vm, ENDING_FAILED, 0, why.text);
		return err_set(e, r, "%s", why.text);
	}
	atomic_fetch_add_explicit(&vm->host->counters[COUNTER_RESETS], 1, memory_order_relaxed);
	if (!paused)
		vm_run(vm);
	return 0;
}

static size_t engine_input(void *self, const void *data, size_t len)
{
	struct vm *vm = self;

	return uart_input(vm->uart, data, len);
}

static void engine_free(void *self)
{
	vm_free(self);
}

const struct engine vm_engine = {
	.name = "vm",
	.start = engine_start,
	.pid = engine_pid,
	.stop = engine_stop,
	.kill = engine_kill,
	.pause = engine_pause,
	.resume = engine_resume,
	.reset = engine_reset,
	.input = engine_input,
	.free = engine_free,
};
