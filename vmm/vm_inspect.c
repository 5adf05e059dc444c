/* Looking into a machine that stands still (vm.h): registers and core files. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/core.h"
#include "vmm/vm.h"

int vm_dump(struct vm *vm, int fd, struct err *e)
{
	struct core_cpu *cpus;
	struct stat st;
	unsigned n = 0;
	bool ran;
	int r = 0;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "dump.path: not a regular file");
	if (st.st_size != 0)
		return err_set(e, -EINVAL, "dump.path: the file is not empty");
	cpus = calloc(vm->ncpus, sizeof(*cpus));
	if (!cpus)
		return err_sys(e, ENOMEM, "dump");
	ran = vm_hold(vm);
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++) {
		cpus[n].id = i;
		if (vm->vcpus[i].fd >= 0)
			r = vcpu_registers(&vm->vcpus[i], &cpus[n++].regs, NULL, e);
	}
	if (r == 0)
		r = core_write(fd, &vm->mem, cpus, n, e);
	vm_release(vm, ran);
	free(cpus);
	return r;
}

void vm_publish_registers(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++) {
		_Atomic uint64_t *to =
			&vm->host->counters[COUNTER_REGISTERS + i * ENGINE_REGISTERS];
		struct user_regs_struct u = { 0 };
		struct vcpu_control c = { 0 };

		if (vm->vcpus[i].fd < 0 || vcpu_registers(&vm->vcpus[i], &u, &c, NULL) < 0)
			continue;
		const uint64_t from[ENGINE_REGISTERS] = {
			u.rip, u.eflags, u.rax, u.rbx, u.rcx, u.rdx, u.rsi,  u.rdi,	u.rbp,
			u.rsp, u.r8,	 u.r9,	u.r10, u.r11, u.r12, u.r13,  u.r14,	u.r15,
			u.cs,  u.ss,	 c.cr0, c.cr2, c.cr3, c.cr4, c.efer, u.fs_base, u.gs_base,
		};

		for (unsigned k = 0; k < ENGINE_REGISTERS; k++)
			atomic_store_explicit(&to[k], from[k], memory_order_relaxed);
	}
}
