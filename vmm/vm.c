/*
 * struct vm: see vm.h. Not here: what is loaded (boot.c), what vCPUs do (vcpu.c), verbs (engine.c).
 */
#include "vmm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/console.h"
#include "vmm/boot.h"
#include "vmm/cpuid.h"
#include "vmm/i8042.h"
#include "vmm/pm.h"
#include "vmm/rtc.h"
#include "vmm/uart.h"

#define KVM_API	      12
#define TSS_ADDR      0xfffbd000u /* three pages that Intel's real-mode emulation wants */
#define IDENTITY_ADDR 0xfffbc000u /* one more */
#define APIC_IDS      255u	  /* 8-bit ids without the one that means all */

/* ---- what devices call back ---- */

static void vm_irq_line(void *arg, uint32_t gsi, bool level)
{
	struct vm *vm = arg;
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	// It can fail only while the KVM side is being made anew, when no one listens.
	(void)ioctl(vm->fd, KVM_IRQ_LINE, &l);
}

static void vm_wish(void *arg, enum guest_wish wish)
{
	vm_end(arg, wish == GUEST_POWEROFF ? ENDING_POWEROFF : ENDING_RESET, 0, "");
}

static void vm_printed(void *arg, const void *data, size_t len)
{
	struct vm *vm = arg;

	atomic_fetch_add_explicit(&vm->host->counters[COUNTER_CONSOLE_BYTES], len,
				  memory_order_relaxed);
	console_output(vm->host->console, data, len);
}

/* ---- devices ---- */

/* Takes over d and lets it answer at a range of ports. */
static int vm_add_device(struct vm *vm, struct device *d, uint16_t port, uint16_t ports,
			 struct err *e)
{
	vm->devices[vm->ndevices++] = d;
	return iobus_attach(&vm->pio, port, ports, d, 0, e);
}

static int vm_add_devices(struct vm *vm, struct err *e)
{
	struct guest_wishes wishes = { vm_wish, vm };
	struct device *d;
	int r;

	r = uart_new((struct irq){ vm_irq_line, vm, UART_GSI }, vm_printed, vm, &vm->uart, e);
	if (r == 0)
		r = vm_add_device(vm, uart_device(vm->uart), UART_PORT, UART_PORTS, e);
	if (r == 0)
		r = pm_new((struct irq){ vm_irq_line, vm, PM_GSI }, wishes, &vm->pm, e);
	if (r == 0)
		r = vm_add_device(vm, pm_device(vm->pm), PM_PORT, PM_PORTS, e);
	if (r == 0)
		r = iobus_attach(&vm->pio, PM_RESET_PORT, 1, pm_device(vm->pm), 1, e);
	if (r == 0)
		r = rtc_new(&d, e);
	if (r == 0)
		r = vm_add_device(vm, d, RTC_PORT, RTC_PORTS, e);
	if (r == 0)
		r = i8042_new(wishes, &d, e);
	if (r == 0)
		r = vm_add_device(vm, d, I8042_DATA, 1, e);
	if (r == 0)
		r = iobus_attach(&vm->pio, I8042_COMMAND, 1, d, 1, e);
	return r;
}

/* ---- the KVM side ---- */

static int kvm_check(struct vm *vm, struct err *e)
{
	int kvm = vm->host->fd[ENGINE_FD_KVM], max;
	uint64_t cpus = vm->host->config->cpu_count;

	if (kvm < 0)
		return err_set(e, -ENXIO, "/dev/kvm: this host has no KVM");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API)
		return err_set(e, -ENXIO,
			       "/dev/kvm: not the KVM interface that this was built for");
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return err_set(e, -ENXIO, "/dev/kvm: the kernel is too old (no immediate_exit)");
	max = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (cpus == 0)
		return err_set(e, -EINVAL, "cpu.count: 0 vCPUs cannot run anything");
	if (max > 0 && cpus > (uint64_t)max)
		return err_set(e, -ENXIO,
			       "cpu.count: %llu is more than the %d vCPUs that this host's "
			       "KVM allows",
			       (unsigned long long)cpus, max);
	if (cpus > APIC_IDS)
		return err_set(e, -ENXIO,
			       "cpu.count: %llu is more than the %u vCPUs that 8-bit APIC "
			       "ids allow",
			       (unsigned long long)cpus, APIC_IDS);
	return 0;
}

static int kvm_add_slot(struct vm *vm, uint32_t slot, uint64_t gpa, uint64_t len,
			unsigned char *host, struct err *e)
{
	struct kvm_userspace_memory_region region = { .slot = slot,
						      .guest_phys_addr = gpa,
						      .memory_size = len,
						      .userspace_addr = (uintptr_t)host };

	if (len && ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_sys(e, errno, "KVM_SET_USER_MEMORY_REGION");
	return 0;
}

/*
 * The legacy interrupt controllers come with the irqchip and would answer beside the IOAPIC: all
 * of their lines are masked, as ACPI's hardware-reduced model promises that there are none.
 */
static int kvm_mask_pic(struct vm *vm, uint32_t id, struct err *e)
{
	struct kvm_irqchip chip = { .chip_id = id };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) < 0)
		return err_sys(e, errno, "KVM_GET_IRQCHIP");
	chip.chip.pic.imr = 0xff;
	if (ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) < 0)
		return err_sys(e, errno, "KVM_SET_IRQCHIP");
	return 0;
}

static int kvm_make_vm(struct vm *vm, struct err *e)
{
	uint64_t identity = IDENTITY_ADDR;
	int r;

	do
		vm->fd = ioctl(vm->host->fd[ENGINE_FD_KVM], KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return err_sys(e, errno, "KVM_CREATE_VM");
	// Only Intel needs these; a KVM that has no use for them refuses.
	(void)ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR);
	(void)ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	// Slots first: the irqchip leaves a lazy SRCU callback behind, for whose grace period (some
	// milliseconds) a slot that came after it would wait.
	r = kvm_add_slot(vm, 0, 0, vm->mem.low, vm->mem.host, e);
	if (r == 0)
		r = kvm_add_slot(vm, 1, GUESTMEM_HIGH, vm->mem.high, vm->mem.host + vm->mem.low, e);
	if (r == 0 && ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(e, errno, "KVM_CREATE_IRQCHIP");
	if (r == 0)
		r = kvm_mask_pic(vm, KVM_IRQCHIP_PIC_MASTER, e);
	if (r == 0)
		r = kvm_mask_pic(vm, KVM_IRQCHIP_PIC_SLAVE, e);
	return r;
}

/* Loads memory, which is zero, and makes the KVM side: the machine as it is just before it runs. */
static int vm_build(struct vm *vm, struct err *e)
{
	struct boot_source src = { .kernel = vm->host->fd[ENGINE_FD_KERNEL],
				   .initrd = vm->host->fd[ENGINE_FD_INITRD],
				   .cmdline = vm->host->config->vm.cmdline,
				   .cpus = vm->ncpus };
	struct boot_entry entry;
	struct cpuid *cpuid;
	int r;

	r = boot_load(&vm->mem, &src, &entry, e);
	if (r == 0)
		r = kvm_make_vm(vm, e);
	if (r < 0)
		return r;
	cpuid = malloc(sizeof(*cpuid));
	if (!cpuid)
		return err_sys(e, ENOMEM, "CPUID");
	r = cpuid_init(cpuid, vm->host->fd[ENGINE_FD_KVM], vm->ncpus, e);
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		r = vcpu_create(&vm->vcpus[i], cpuid, &entry, e);
	free(cpuid);
	return r;
}

static void vm_unbuild(struct vm *vm)
{
	for (unsigned i = 0; vm->vcpus && i < vm->ncpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

/* ---- life ---- */

static int vm_add_vcpus(struct vm *vm, struct err *e)
{
	vm->vcpus = calloc(vm->host->config->cpu_count, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return err_sys(e, ENOMEM, "vCPUs");
	vm->ncpus = (unsigned)vm->host->config->cpu_count;
	for (unsigned i = 0; i < vm->ncpus; i++)
		vm->vcpus[i] = (struct vcpu){ .vm = vm, .id = i, .fd = -1 };
	return 0;
}

int vm_new(struct engine_host *host, struct vm **ret, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_sys(e, ENOMEM, "VM");
	vm->host = host;
	vm->fd = -1;
	vm->request = VM_PAUSE;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->asked, NULL);
	pthread_cond_init(&vm->stood, NULL);
	r = kvm_check(vm, e);
	if (r == 0)
		r = vcpu_signal_setup(e);
	if (r == 0)
		r = guestmem_new(&vm->mem, host->config->memory_size, e);
	if (r == 0)
		r = vm_add_devices(vm, e);
	if (r == 0)
		r = vm_add_vcpus(vm, e);
	if (r == 0)
		r = vm_build(vm, e);
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		r = vcpu_start(&vm->vcpus[i], e);
	if (r < 0)
		goto fail;
	*ret = vm;
	return 0;
fail:
	vm_free(vm);
	return r;
}

/* The lock is held. */
static void vm_ask(struct vm *vm, enum vm_request request)
{
	if (vm->request == VM_QUIT)
		return;
	vm->request = request;
	pthread_cond_broadcast(&vm->asked);
	for (unsigned i = 0; request != VM_RUN && i < vm->ncpus; i++)
		vcpu_kick(&vm->vcpus[i]);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	pthread_mutex_lock(&vm->lock);
	vm_ask(vm, VM_QUIT);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_join(&vm->vcpus[i]);
	vm_unbuild(vm);
	for (unsigned i = 0; i < vm->ndevices; i++)
		device_free(vm->devices[i]);
	guestmem_free(&vm->mem);
	free(vm->vcpus);
	pthread_cond_destroy(&vm->stood);
	pthread_cond_destroy(&vm->asked);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

bool vm_park(struct vm *vm, struct vcpu *v)
{
	bool run, waited;

	pthread_mutex_lock(&vm->lock);
	waited = vm->request != VM_RUN;
	if (waited) {
		vm->parked++;
		pthread_cond_broadcast(&vm->stood);
	}
	while (vm->request == VM_PAUSE)
		pthread_cond_wait(&vm->asked, &vm->lock);
	run = vm->request == VM_RUN;
	if (run && waited)
		vm->parked--;
	if (run)
		v->run->immediate_exit = 0;
	pthread_mutex_unlock(&vm->lock);
	return run;
}

void vm_run(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm_ask(vm, VM_RUN);
	pthread_mutex_unlock(&vm->lock);
}

/* Waits until so many vCPUs stand still. The lock is held. */
static void vm_wait_parked(struct vm *vm, unsigned n)
{
	while (vm->parked < n)
		pthread_cond_wait(&vm->stood, &vm->lock);
}

bool vm_paused(struct vm *vm)
{
	bool paused;

	pthread_mutex_lock(&vm->lock);
	paused = vm->request == VM_PAUSE;
	pthread_mutex_unlock(&vm->lock);
	return paused;
}

void vm_pause(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->request == VM_RUN)
		vm_ask(vm, VM_PAUSE);
	vm_wait_parked(vm, vm->ncpus);
	pthread_mutex_unlock(&vm->lock);
	// Tells the guest's watchdogs; one without kvmclock has none to tell.
	for (unsigned i = 0; i < vm->ncpus; i++)
		(void)ioctl(vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
}

int vm_reset(struct vm *vm, struct err *e)
{
	int r;

	vm_pause(vm);
	if (!vm_paused(vm))
		return err_set(e, -EBUSY, "the machine has ended");
	vm_unbuild(vm);
	for (unsigned i = 0; i < vm->ndevices; i++)
		vm->devices[i]->ops->reset(vm->devices[i]);
	r = guestmem_clear(&vm->mem, e);
	if (r == 0)
		r = vm_build(vm, e);
	return r;
}

/* The calling thread is a vCPU's, which will park only later. */
static bool vm_on_vcpu(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->vcpus[i].has_thread && pthread_equal(vm->vcpus[i].thread, pthread_self()))
			return true;
	return false;
}

void vm_end(struct vm *vm, enum ending_kind kind, int code, const char *why)
{
	struct ending ending = { .kind = kind, .code = code };
	bool first;

	pthread_mutex_lock(&vm->lock);
	first = !vm->ended;
	vm->ended = true;
	vm_ask(vm, VM_QUIT);
	if (first)
		vm_wait_parked(vm, vm->ncpus - vm_on_vcpu(vm));
	pthread_mutex_unlock(&vm->lock);
	if (!first)
		return;
	strncpy(ending.why, why, sizeof(ending.why) - 1);
	vm->host->ended(vm->host, &ending);
}
