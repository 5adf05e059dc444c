/*
 * The vCPUs of a struct vm (vm.h): how many there may be, how they are numbered, what they are,
 * and how they come and go. What one does is vcpu.c's.
 *
 * A vCPU that the guest gives back keeps its thread, parked, and its KVM side, which KVM cannot
 * take away: when it comes again it is powered on anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "backends/base/cpulist.h"
#include "vmm/board/cpuplug.h"
#include "vmm/board/pm.h"
#include "vmm/cpu/cpuid.h"
#include "vmm/pace.h"
#include "vmm/vm.h"

#define FILES_BESIDE 1024 /* descriptors that a monitor needs apart from vCPUs, amply */
#define SMALL_IDS    255u /* APIC ids of 8 bits, without the one that means all */

static int kvm_ask(const struct vm *vm, int capability)
{
	return ioctl(vm->host->fd[ENGINE_FD_KVM], KVM_CHECK_EXTENSION, capability);
}

/* What this host's KVM can number. */
static int check_numbers(struct vm *vm, uint64_t cpus, struct err *e)
{
	const char *what = cpus > vm->host->config->cpu_count ? "cpu.possible" : "cpu.count";
	int max = kvm_ask(vm, KVM_CAP_MAX_VCPUS), max_id = kvm_ask(vm, KVM_CAP_MAX_VCPU_ID);
	uint32_t id;
	int r;

	if (cpus == 0)
		return err_set(e, -EINVAL, "cpu.count: 0 vCPUs cannot run anything");
	if ((max > 0 && cpus > (uint64_t)max) || cpus > CPU_VCPUS_MAX)
		return err_set(e, -ENXIO,
			       "%s: %llu is more than the %d vCPUs that this host's KVM allows",
			       what, (unsigned long long)cpus, max);
	r = cpu_topology_settle(&vm->host->config->vm.cpu_topology, cpus, &vm->topology, e);
	if (r < 0)
		return r;
	id = cpu_topology_apic_id(&vm->topology, (unsigned)cpus - 1);
	if (max_id > 0 && id >= (uint32_t)max_id)
		return err_set(e, -ENXIO,
			       "cpu.topology: the last APIC id would be %u, this host's KVM "
			       "allows %d",
			       id, max_id - 1);
	if (id >= SMALL_IDS && kvm_ask(vm, KVM_CAP_X2APIC_API) <= 0)
		return err_set(e, -ENXIO, "%s: this host's KVM has only 8-bit APIC ids", what);
	return 0;
}

/* A vCPU is a descriptor: as many as the hard limit allows, where the soft one is for fewer. */
static void raise_files(uint64_t n)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < n && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = n < l.rlim_max ? n : l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

int vm_cpus_new(struct vm *vm, struct err *e)
{
	uint64_t cpus = cpu_possible(vm->host->config);
	int r = check_numbers(vm, cpus, e);

	if (r < 0)
		return r;
	raise_files(cpus + FILES_BESIDE);
	vm->vcpus = calloc(cpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return err_sys(e, ENOMEM, "vCPUs");
	vm->ncpus = (unsigned)cpus;
	for (unsigned i = 0; i < vm->ncpus; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].id = i;
		vm->vcpus[i].apic_id = cpu_topology_apic_id(&vm->topology, i);
		vm->vcpus[i].fd = -1;
	}
	return 0;
}

/* What all vCPUs have in common; the caller frees it. */
static int settle_cpuid(struct vm *vm, struct cpuid **ret, struct err *e)
{
	const char *model = vm->host->config->vm.cpu_model;
	struct cpuid_host host = {
		.deadline = kvm_ask(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.ext_dest_id = kvm_ask(vm, KVM_CAP_X2APIC_API) > 0,
	};
	struct cpuid *c = malloc(sizeof(*c));
	int r = 0;

	if (!c)
		return err_sys(e, ENOMEM, "CPUID");
	if (vm->host->prepared)
		*c = *(const struct cpuid *)vm->host->prepared;
	else
		r = cpuid_read(c, vm->host->fd[ENGINE_FD_KVM], e);
	if (r == 0)
		r = cpuid_settle(c, model ? model : "host", &vm->topology, &host, e);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int vm_cpus_build(struct vm *vm, const struct boot_entry *entry, struct err *e)
{
	unsigned count = (unsigned)vm->host->config->cpu_count;
	struct cpuid *cpuid;
	int r = settle_cpuid(vm, &cpuid, e);

	if (r < 0)
		return r;
	cpuplug_set(vm->cpuplug, count);
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = vcpu_create(&vm->vcpus[i], cpuid, entry, e);
	if (r < 0)
		err_prefix(e, "cpu.count: ");
	free(cpuid);
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vm->vcpus[i].plugged = i < count;
	pthread_mutex_unlock(&vm->lock);
	return r;
}

void vm_cpus_unbuild(struct vm *vm)
{
	for (unsigned i = 0; vm->vcpus && i < vm->ncpus; i++) {
		vcpu_destroy(&vm->vcpus[i]);
		vm_signal_online(vm, i, false);
	}
}

/* The thread waits for the lock before it does anything. */
static int start_thread(struct vm *vm, struct vcpu *v, struct err *e)
{
	int r;

	if (v->has_thread)
		return 0;
	pthread_mutex_lock(&vm->lock);
	r = vcpu_start(v, e);
	vm->threads += r == 0;
	pthread_mutex_unlock(&vm->lock);
	return r;
}

int vm_cpus_start(struct vm *vm, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		if (vm->vcpus[i].plugged)
			r = start_thread(vm, &vm->vcpus[i], e);
	return r;
}

/* ---- coming and going ---- */

static int plug(struct vm *vm, struct vcpu *v, struct cpuid *cpuid, struct err *e)
{
	int r = 0;

	pace_relax(vm->virtio_env.pace);
	if (v->fd < 0)
		r = vcpu_create(v, cpuid, NULL, e);
	if (r == 0)
		r = vcpu_power_on(v, e);
	if (r == 0)
		r = start_thread(vm, v, e);
	if (r < 0 && !v->has_thread)
		vcpu_destroy(v);
	if (r < 0)
		return r;
	pthread_mutex_lock(&vm->lock);
	v->plugged = true;
	pthread_cond_broadcast(&vm->asked);
	pthread_mutex_unlock(&vm->lock);
	cpuplug_add(vm->cpuplug, v->id);
	return 0;
}

int vm_cpus_set(struct vm *vm, unsigned n, struct err *e)
{
	struct cpuid *cpuid;
	int r;

	if (n == 0 || n > vm->ncpus)
		return err_set(e, -EBUSY,
			       "cpu.count: there is room for %u vCPUs; cpu.possible, which says "
			       "so, cannot change while the machine runs",
			       vm->ncpus);
	r = settle_cpuid(vm, &cpuid, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++) {
		bool present = cpuplug_present(vm->cpuplug, i);

		if (i < n && !present)
			r = plug(vm, &vm->vcpus[i], cpuid, e);
		else if (i >= n && present)
			cpuplug_ask(vm->cpuplug, i);
	}
	free(cpuid);
	if (r < 0)
		err_prefix(e, "cpu.count: ");
	pm_event(vm->pm, PM_EVENT_CPUS);
	return r;
}

void vm_cpus_ejected(void *arg, unsigned vcpu)
{
	struct vm *vm = arg;
	struct vcpu *v = &vm->vcpus[vcpu];

	pthread_mutex_lock(&vm->lock);
	v->plugged = false;
	vcpu_kick(v);
	pthread_mutex_unlock(&vm->lock);
	vm_signal_online(vm, vcpu, false);
}

/* ---- affinity ---- */

/* The last line that names a vCPU; "" without one. */
static const char *affinity_of(const struct keyed *affinity, unsigned vcpu)
{
	for (size_t i = affinity->n; i-- > 0;) {
		struct cpulist l;

		if (cpulist_parse(affinity->entries[i].key, CPU_VCPUS_MAX, &l, NULL) == 0 &&
		    cpulist_has(&l, vcpu))
			return affinity->entries[i].value;
	}
	return "";
}

int vm_cpus_set_affinity(struct vm *vm, const struct keyed *affinity, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		if (vm->vcpus[i].has_thread)
			r = vcpu_set_affinity(&vm->vcpus[i], affinity_of(affinity, i), e);
	return r;
}
