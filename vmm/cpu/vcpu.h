/*
 * struct vcpu: one virtual CPU and the thread that runs it.
 *
 * The thread lives from when the vCPU is plugged in the first time to vm_free() and does only two
 * things: KVM_RUN with the register-sized accesses that it returns for, and waiting while the VM's
 * request is not VM_RUN. It is taken out of KVM_RUN by immediate_exit and a signal whose handler
 * does nothing. The KVM side of a vCPU (fd, run) is made anew at each reset, while the thread is
 * parked.
 */
#ifndef VMM_CPU_VCPU_H
#define VMM_CPU_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>

#include "backends/base/err.h"
#include "vmm/boot/boot.h"
#include "vmm/cpu/cpuid.h"

struct vm;

/* MSR_KVM_PV_EOI_EN, which a Linux guest sets on each CPU that it brings up, and clears on one that
 * it takes down: writes to it come to user space. */
#define VCPU_MSR_ONLINE 0x4b564d04u

struct vcpu {
	struct vm *vm;
	unsigned id;
	uint32_t apic_id;
	int fd;
	struct kvm_run *run;
	size_t run_len;
	pthread_t thread;
	bool has_thread;
	bool plugged; /* the VM's lock. The guest has it: its thread may run */
};

/* Loop thread. Makes the KVM side; entry is what vCPU 0 starts with (others wait for SIPI). */
int vcpu_create(struct vcpu *v, struct cpuid *cpuid, const struct boot_entry *entry, struct err *e);
/* Unmakes it; takes one that is half-built. */
void vcpu_destroy(struct vcpu *v);

/* Starts the thread, which waits until the VM's request says otherwise. */
int vcpu_start(struct vcpu *v, struct err *e);
/* Makes the thread leave KVM_RUN soon; the VM's lock is held. */
void vcpu_kick(struct vcpu *v);
/* Lets the thread run on these host CPUs, of those that the process may use; "" is all of them. */
int vcpu_set_affinity(struct vcpu *v, const char *cpus, struct err *e);
/* Parked: as after power-on, but for what INIT leaves alone; it waits for SIPI. */
int vcpu_power_on(struct vcpu *v, struct err *e);
struct vcpu_control {
	uint64_t cr0, cr2, cr3, cr4, efer;
};

/* Reads its registers; c may be NULL. Parked. */
struct user_regs_struct;
int vcpu_registers(struct vcpu *v, struct user_regs_struct *u, struct vcpu_control *c,
		   struct err *e);
/* Waits for the thread's end; the request is VM_QUIT. */
void vcpu_join(struct vcpu *v);

/* Installs the handler of the signal that vcpu_kick() sends; once per process is enough. */
int vcpu_signal_setup(struct err *e);

#endif
