/*
 * struct vcpu: see vcpu.h.
 *
 * System calls of a vCPU thread, for whoever confines it: ioctl (KVM_RUN, KVM_GET_REGS,
 * KVM_SET_MSRS, KVM_SIGNAL_MSI), futex, rt_sigreturn, clock_gettime (vDSO), what console_output()
 * does (write, pwrite64, ftruncate), write (to the loop's eventfd), and at the end madvise, munmap,
 * exit, rt_sigprocmask. To start it: clone3, mmap, mprotect, rseq, set_robust_list.
 */
#include "vmm/cpu/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <unistd.h>

#include "backends/base/cpulist.h"
#include "backends/base/thread.h"
#include "backends/monitor/monitor_filter.h"
#include "vmm/vm.h"

#define STACK_SIZE ((size_t)256 << 10)
#define KICK	   SIGURG /* ignored by default, so a stray one does no harm */

#define CR0_PE	 0x1u
#define CR0_ET	 0x10u
#define CR0_BOOT 0x80050033u /* paging, protection, and the bits a 64-bit OS has on */
#define CR4_PAE	 0x20u
#define APIC_X2	 0x400u /* of the APIC's base: its id has 32 bits */
#define ID_SMALL 254u	/* the last APIC id of 8 bits */
#define EFER_LMA 0x500u /* long mode enabled and active */

#define MSR_MISC_ENABLE	  0x1a0u
#define MISC_FAST_STRINGS 1u
#define MSR_MTRR_DEFTYPE  0x2ffu
#define MTRR_ENABLE_WB	  0x806u /* on, and write-back where no range says otherwise */

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code64)
{
	return (struct kvm_segment){ .limit = ~0u,
				     .selector = selector,
				     .type = type,
				     .present = 1,
				     .s = 1,
				     .l = code64,
				     .db = !code64,
				     .g = 1 };
}

static void sregs_common(struct kvm_sregs *s, bool code64)
{
	s->cs = segment(BOOT_CS, 11, code64);
	s->ds = s->es = s->fs = s->gs = s->ss = segment(BOOT_DS, 3, false);
	s->idt.limit = 0;
}

/* The state in which the boot protocols hand over. */
static int vcpu_enter_at(struct vcpu *v, const struct boot_entry *entry, struct err *e)
{
	struct kvm_regs regs = { .rip = entry->rip, .rsp = BOOT_STACK, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return err_sys(e, errno, "KVM_GET_SREGS");
	if (entry->mode == KERNEL_LINUX64) {
		sregs_common(&s, true);
		s.gdt.base = BOOT_GDT;
		s.gdt.limit = 31;
		s.cr3 = BOOT_PML4;
		s.cr4 = CR4_PAE;
		s.cr0 = CR0_BOOT;
		s.efer = EFER_LMA;
		regs.rsi = entry->arg;
	} else {
		sregs_common(&s, false);
		s.gdt.base = BOOT_GDT;
		s.gdt.limit = 31;
		s.tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
		s.cr0 = CR0_PE | CR0_ET;
		regs.rbx = entry->arg;
	}
	// As firmware does: without it Linux ignores processors with larger ids in the MADT.
	if (cpu_topology_apic_id(&v->vm->topology, v->vm->ncpus - 1) > ID_SMALL)
		s.apic_base |= APIC_X2;
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0)
		return err_sys(e, errno, "KVM_SET_SREGS");
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(e, errno, "KVM_SET_REGS");
	return 0;
}

/*
 * What firmware would have left: Linux takes a machine without memory types for one whose caches
 * it must not manage, and slow string copies for wanted.
 */
static void vcpu_set_msrs(struct vcpu *v)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} m = { .head.nmsrs = 2,
		.entries = { { .index = MSR_MTRR_DEFTYPE, .data = MTRR_ENABLE_WB },
			     { .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRINGS } } };

	// A host without one of them answers with how many it took; guests do without.
	(void)ioctl(v->fd, KVM_SET_MSRS, &m);
}

int vcpu_create(struct vcpu *v, struct cpuid *cpuid, const struct boot_entry *entry, struct err *e)
{
	int len = ioctl(v->vm->host->fd[ENGINE_FD_KVM], KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	if (len < (int)sizeof(struct kvm_run))
		return err_sys(e, errno, "KVM_GET_VCPU_MMAP_SIZE");
	v->fd = ioctl(v->vm->fd, KVM_CREATE_VCPU, (unsigned long)v->apic_id);
	if (v->fd < 0)
		return err_sys(e, errno, "vCPU %u: KVM_CREATE_VCPU", v->id);
	run = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return err_sys(e, errno, "vCPU %u: mmap", v->id);
	v->run = run;
	v->run_len = (size_t)len;
	cpuid_set_id(cpuid, &v->vm->topology, v->id);
	if (ioctl(v->fd, KVM_SET_CPUID2, &cpuid->head) < 0)
		return err_sys(e, errno, "vCPU %u: KVM_SET_CPUID2", v->id);
	vcpu_set_msrs(v);
	if (v->id == 0)
		vm_signal_online(v->vm, 0, true);
	if (v->id == 0)
		return vcpu_enter_at(v, entry, e);
	return 0;
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->run_len);
	if (v->fd >= 0)
		close(v->fd);
	v->run = NULL;
	v->fd = -1;
}

int vcpu_power_on(struct vcpu *v, struct err *e)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };

	// Waits for the thread to leave KVM_RUN, which it was told to when the vCPU was unplugged.
	if (ioctl(v->fd, KVM_SET_MP_STATE, &state) < 0)
		return err_sys(e, errno, "vCPU %u: KVM_SET_MP_STATE", v->id);
	return 0;
}

int vcpu_registers(struct vcpu *v, struct user_regs_struct *u, struct vcpu_control *c,
		   struct err *e)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return err_sys(e, errno, "vCPU %u: its registers", v->id);
	*u = (struct user_regs_struct){
		.rip = r.rip,
		.eflags = r.rflags,
		.rax = r.rax,
		.rbx = r.rbx,
		.rcx = r.rcx,
		.rdx = r.rdx,
		.rsi = r.rsi,
		.rdi = r.rdi,
		.rbp = r.rbp,
		.rsp = r.rsp,
		.r8 = r.r8,
		.r9 = r.r9,
		.r10 = r.r10,
		.r11 = r.r11,
		.r12 = r.r12,
		.r13 = r.r13,
		.r14 = r.r14,
		.r15 = r.r15,
		.cs = s.cs.selector,
		.ss = s.ss.selector,
		.ds = s.ds.selector,
		.es = s.es.selector,
		.fs = s.fs.selector,
		.gs = s.gs.selector,
		.fs_base = s.fs.base,
		.gs_base = s.gs.base,
		.orig_rax = ~0ull,
	};
	if (c)
		*c = (struct vcpu_control){ s.cr0, s.cr2, s.cr3, s.cr4, s.efer };
	return 0;
}

static uint64_t vcpu_rip(struct vcpu *v)
{
	struct kvm_regs regs = { 0 };

	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0)
		return 0;
	return regs.rip;
}

static _Atomic uint64_t *figure(const struct vcpu *v, enum vcpu_figure which)
{
	return &v->vm->host->counters[COUNTER_VCPUS + v->id * VCPU_FIGURES + which];
}

static void count(struct vcpu *v, enum vcpu_figure which)
{
	atomic_fetch_add_explicit(figure(v, which), 1, memory_order_relaxed);
}

static void vcpu_fail(struct vcpu *v, const char *what)
{
	char why[200];

	snprintf(why, sizeof(why), "%s at rip 0x%llx", what, (unsigned long long)vcpu_rip(v));
	vm_end(v->vm, ENDING_FAILED, 0, why);
}

static void vcpu_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned char *data = (unsigned char *)run + run->io.data_offset;
	uint64_t value = 0;

	count(v, VCPU_EXITS_IO);
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, run->io.size);
			indexes_written(&v->vm->indexes, true, run->io.port);
			iobus_write(&v->vm->pio, run->io.port, run->io.size, value);
		} else {
			value = iobus_read(&v->vm->pio, run->io.port, run->io.size);
			memcpy(data, &value, run->io.size);
		}
	}
}

static void vcpu_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned len = run->mmio.len <= 8 ? run->mmio.len : 8;
	uint64_t value = 0;

	count(v, VCPU_EXITS_MMIO);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, len);
		indexes_written(&v->vm->indexes, false, run->mmio.phys_addr);
		iobus_write(&v->vm->mmio, run->mmio.phys_addr, len, value);
	} else {
		value = iobus_read(&v->vm->mmio, run->mmio.phys_addr, len);
		memcpy(run->mmio.data, &value, len);
	}
}

static void vcpu_internal_error(struct vcpu *v)
{
	static const char *const words[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction that KVM cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "an exception while one was being delivered",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was being delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit that KVM did not expect",
	};
	uint32_t sub = v->run->internal.suberror;
	char what[120];

	if (sub < sizeof(words) / sizeof(words[0]) && words[sub])
		snprintf(what, sizeof(what), "KVM internal error: %s", words[sub]);
	else
		snprintf(what, sizeof(what), "KVM internal error: suberror %u", sub);
	vcpu_fail(v, what);
}

/*
 * What a guest does to a vCPU by itself is not told to anyone: an idle CPU and one that is
 * offline both halt. This MSR, which changes at exactly those moments, is let pass here.
 */
static void vcpu_wrmsr(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = run->msr.index, .data = run->msr.data } };

	run->msr.error = ioctl(v->fd, KVM_SET_MSRS, &m) != 1;
	if (!run->msr.error)
		vm_signal_online(v->vm, v->id, run->msr.data != 0);
}

static void vcpu_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_end(v->vm, ENDING_POWEROFF, 0, "");
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_end(v->vm, ENDING_RESET, 0, "");
		break;
	default:
		vcpu_fail(v, "guest crash reported by KVM");
	}
}

/* Handles one return from KVM_RUN. */
static void vcpu_exit(struct vcpu *v)
{
	char what[120];

	count(v, VCPU_EXITS);
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_io(v);
		break;
	case KVM_EXIT_MMIO:
		vcpu_mmio(v);
		break;
	case KVM_EXIT_X86_WRMSR:
		count(v, VCPU_EXITS_MSR);
		vcpu_wrmsr(v);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT: // in-kernel local APICs sleep by themselves
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu_fail(v, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_internal_error(v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(what, sizeof(what), "the CPU refused to enter the guest (reason 0x%llx)",
			 (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
		vcpu_fail(v, what);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(v);
		break;
	default:
		snprintf(what, sizeof(what), "KVM exit %u that nothing handles",
			 v->run->exit_reason);
		vcpu_fail(v, what);
	}
}

/*
 * immediate_exit makes KVM_RUN finish the access that the last exit began and return EINTR, so
 * a vCPU parks only between instructions, and no flag needs a look on the way round.
 */
static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct err e = { 0 };
	char what[120];
	bool run;

	snprintf(what, sizeof(what), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), what);
	atomic_store_explicit(figure(v, VCPU_THREAD), (uint64_t)gettid(), memory_order_relaxed);
	if (v->vm->host->confined && monitor_filter_install(MONITOR_VCPU, &e) < 0)
		vcpu_fail(v, e.text);
	run = vm_park(v->vm, v);

	while (run) {
		int why = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;

		indexes_finish(&v->vm->indexes, &v->vm->pio, &v->vm->mmio);
		if (why == 0) {
			vcpu_exit(v);
		} else if (why == EINTR) {
			count(v, VCPU_EXITS_SIGNAL);
			run = vm_park(v->vm, v);
		} else if (why == EAGAIN) { // a vCPU that SIPI just woke answers so
			vm_signal_online(v->vm, v->id, true);
		} else {
			snprintf(what, sizeof(what), "KVM_RUN: %s",
				 why == EFAULT ? "the guest touched memory that it has not"
					       : strerror(why));
			vcpu_fail(v, what);
		}
	}
	return NULL;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	int r = thread_start(&v->thread, STACK_SIZE, KICK, vcpu_thread, v);

	if (r < 0)
		return err_sys(e, -r, "vCPU %u: no thread", v->id);
	v->has_thread = true;
	return 0;
}

int vcpu_set_affinity(struct vcpu *v, const char *cpus, struct err *e)
{
	struct cpulist l;
	int r = cpulist_parse(cpus, CPULIST_MAX, &l, e);

	if (r == 0 && cpulist_empty(&l))
		memset(&l, 0xff, sizeof(l));
	// A set without a CPU that is there is the only one that is refused.
	if (r == 0 && pthread_setaffinity_np(v->thread, sizeof(l), (const cpu_set_t *)&l) != 0)
		r = err_set(e, -ENXIO, "vCPU %u may run on none of the host's CPUs %s", v->id,
			    cpus);
	if (r < 0)
		err_prefix(e, "cpu.affinity: ");
	return r;
}

void vcpu_kick(struct vcpu *v)
{
	if (v->run)
		v->run->immediate_exit = 1;
	if (v->has_thread && !pthread_equal(v->thread, pthread_self()))
		pthread_kill(v->thread, KICK);
}

void vcpu_join(struct vcpu *v)
{
	if (v->has_thread)
		pthread_join(v->thread, NULL);
	v->has_thread = false;
}

static void kicked(int signo)
{
}

int vcpu_signal_setup(struct err *e)
{
	struct sigaction sa = { .sa_handler = kicked, .sa_flags = SA_RESTART };

	if (sigaction(KICK, &sa, NULL) < 0)
		return err_sys(e, errno, "sigaction");
	return 0;
}
