/*
 * vm_engine: the operations of backends/engine.h on a struct vm. The room's only entry.
 *
 * System calls of the loop thread, for whoever confines it. start and reset: ioctl
 * (KVM_GET_API_VERSION to KVM_SET_REGS, see vm.c and vcpu.c), mmap, munmap, mprotect, madvise, brk,
 * sysinfo, fstat, pread64, rt_sigaction, rt_sigprocmask, clone3, close. After that: ioctl
 * (KVM_SIGNAL_MSI, KVM_KVMCLOCK_CTRL), futex, tgkill, getpid. The vCPU threads' are in vcpu.c.
 * PCI: ioctl (KVM_IOEVENTFD, KVM_IRQFD, KVM_SET_GSI_ROUTING; the first also on vCPU threads), read,
 * write and eventfd2. Disks, also when one is plugged in later: io_uring_setup, io_uring_enter,
 * io_uring_register, mmap, munmap, fstat, fcntl (F_GETFL, F_SETFL), pread64, ftruncate, ioctl
 * (BLKGETSIZE64); where io_uring_setup is refused, threads do preadv, pwritev, fdatasync,
 * fallocate. The entropy device: getrandom.
 */
#include "backends/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/board/pm.h"
#include "vmm/cpu/cpuid.h"
#include "vmm/virtio/virtio_balloon.h"
#include "vmm/virtio/virtio_mem.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

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

	pm_event(vm->pm, PM_EVENT_POWER);
	return 0;
}

static int engine_kill(void *self, struct err *e)
{
	vm_end(self, ENDING_SIGNALED, SIGKILL, "");
	return 0;
}

static int engine_pause(void *self, struct err *e)
{
	return vm_pause(self, e);
}

static int engine_resume(void *self, struct err *e)
{
	vm_run(self);
	return 0;
}

static int configure_cpus(struct vm *vm, const struct machine_config *from,
			  const struct machine_config *to, struct err *e)
{
	int r = 0;

	if (to->cpu_count != from->cpu_count)
		r = vm_cpus_set(vm, (unsigned)to->cpu_count, e);
	if (r == 0)
		r = vm_cpus_set_affinity(vm, &to->vm.cpu_affinity, e);
	return r;
}

/* Only this much can be refused: the guest does the rest as it can. */
static int check_memory(struct vm *vm, const struct machine_config *next, struct err *e)
{
	uint64_t most = vm->mem.size + vm->mem.hot.len;

	if (next->memory_size < vm->mem.size)
		return err_set(e, -EBUSY,
			       "memory.size: cannot be less than the %llu MiB that the machine "
			       "was started with while it runs; memory.balloon can",
			       (unsigned long long)(vm->mem.size >> 20));
	if (next->memory_size > most)
		return err_set(e, -EBUSY,
			       "memory.size: there is room for %llu MiB; memory.possible, which "
			       "says so, cannot change while the machine runs",
			       (unsigned long long)(most >> 20));
	return 0;
}

static void configure_memory(struct vm *vm, const struct machine_config *next)
{
	if (vm->hotmem)
		virtio_mem_want(vm->hotmem, next->memory_size - vm->mem.size);
	if (next->vm.memory_balloon != vm->host->config->vm.memory_balloon)
		virtio_balloon_want(vm->balloon, next->vm.memory_balloon);
}

static int engine_configure(void *self, const struct machine_config *next, struct err *e)
{
	struct vm *vm = self;
	const struct machine_config *now = vm->host->config;
	int r = check_memory(vm, next, e);

	if (r < 0)
		return r;
	r = configure_cpus(vm, now, next, e);
	if (r == 0)
		r = vm_parts_configure(self, next, e);
	if (r < 0)
		(void)configure_cpus(vm, next, now, NULL);
	else
		configure_memory(vm, next);
	return r;
}

static int engine_dump(void *self, int fd, struct err *e)
{
	return vm_dump(self, fd, e);
}

static int engine_reset(void *self, struct err *e)
{
	return vm_restart(self, e);
}

static size_t engine_input(void *self, const void *data, size_t len)
{
	return vm_type(self, data, len);
}

static void engine_free(void *self)
{
	vm_free(self);
}

/* To ask a virtual host's CPU what it is may take as long as to make a machine. */
static int engine_prepare(void **ret_prepared)
{
	struct cpuid *c = malloc(sizeof(*c));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct err e;

	if (c && (kvm < 0 || cpuid_read(c, kvm, &e) < 0)) {
		free(c);
		c = NULL;
	}
	if (kvm >= 0)
		close(kvm);
	*ret_prepared = c;
	return 0;
}

const struct engine vm_engine = {
	.name = "vm",
	.prepare = engine_prepare,
	.forget = free,
	.start = engine_start,
	.pid = engine_pid,
	.stop = engine_stop,
	.kill = engine_kill,
	.pause = engine_pause,
	.resume = engine_resume,
	.configure = engine_configure,
	.reset = engine_reset,
	.dump = engine_dump,
	.input = engine_input,
	.free = engine_free,
};
