/*
 * struct vm: one virtual machine: its memory, devices, vCPUs, and who of them may run.
 *
 * Owner: engine.c, on the monitor's loop thread; every vm_ function belongs to that thread unless
 * it says otherwise. vm_new() builds a machine that stands still; vm_run() lets it go.
 *
 * The vCPUs follow `request`, which changes only under `lock`:
 *   VM_RUN    they run;
 *   VM_PAUSE  they leave KVM_RUN and wait; `parked` counts those that do, and those of vCPUs
 *             that are not plugged in;
 *   VM_QUIT   their threads end.
 * Once VM_QUIT it stays so. Any thread may set it (a guest that powers itself off does so on a
 * vCPU thread); whoever is first tells the ending to the host.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backends/base/err.h"
#include "backends/engine.h"
#include "vmm/board/indexes.h"
#include "vmm/board/iobus.h"
#include "vmm/cpu/cpu_topology.h"
#include "vmm/cpu/vcpu.h"
#include "vmm/device.h"
#include "vmm/guestmem.h"
#include "vmm/kvm_creation.h"
#include "vmm/vm_pci.h"

struct cpuid;
struct cpuplug;
struct ioapic;
struct numa;
struct pm;
struct uart;
struct vm_signals;
struct watchdog;

enum vm_request { VM_RUN, VM_PAUSE, VM_QUIT };

#define VM_DEVICES 16
#define VM_ROUTES  1024 /* interrupts by eventfd */

struct vm {
	struct engine_host *host;
	int fd;			      /* of the KVM virtual machine; made anew at a reset */
	struct kvm_creation creation; /* of the first one */
	struct guestmem mem;
	struct iobus pio;
	struct iobus mmio;
	struct indexes indexes;	   /* in them */
	struct uart *uart;	   /* NULL: its console is a virtio device alone */
	struct virtio_device *hvc; /* or NULL; a slot's */
	_Atomic bool on_hvc;	   /* where the guest printed last */
	struct pm *pm;
	struct ioapic *ioapic;
	struct cpuplug *cpuplug;
	struct watchdog *watchdog;     /* or NULL */
	unsigned char genid[16];       /* the VM generation id */
	struct virtio_device *balloon; /* the bus owns them */
	struct virtio_device *hotmem;  /* or NULL: no memory may come */
	struct vm_signals *signals;    /* vm_signals.c */
	unsigned ndevices;
	struct device *devices[VM_DEVICES]; /* owned; all of them, for reset, save, load, free */
	struct virtio_env virtio_env;
	char trouble[300]; /* what a device last failed by */
	struct pci_bus *pci;
	unsigned nslots;
	struct vm_slot slots[VM_SLOTS]; /* owned, as devices */
	struct vm_route {
		bool used;
		uint64_t address;
		uint32_t data;
	} * routes;		      /* VM_ROUTES of them */
	bool built;		      /* its guest may have looked at the bus */
	bool devices_paused;	      /* between vm_pause() and vm_run() */
	struct numa *numa;	      /* of the guest; refers to the configuration at its start */
	struct cpu_topology topology; /* of all vCPUs that it may get */
	unsigned ncpus;		      /* that it may get */
	struct vcpu *vcpus;

	pthread_mutex_t lock; /* request, parked, ended */
	pthread_cond_t asked; /* request changed */
	pthread_cond_t stood; /* parked changed */
	enum vm_request request;
	unsigned threads; /* of vCPUs */
	unsigned parked;  /* those that wait or have ended */
	bool ended;	  /* host->ended() has been, or is being, called */
};

/* Types on its console; loop thread. Returns how many bytes were taken. */
size_t vm_type(struct vm *vm, const void *data, size_t len);
/* The sink of a virtio console: what the guest prints there. */
void vm_printed_hvc(void *arg, const void *data, size_t len);

/* Delivers a message-signalled interrupt; any thread. arg is the VM. */
void vm_msi(void *arg, uint64_t address, uint32_t data);

/* Builds it, standing still. */
int vm_new(struct engine_host *host, struct vm **ret, struct err *e);
/* Stops what still runs; never calls ended(). Takes NULL and half-built ones. */
void vm_free(struct vm *vm);

void vm_run(struct vm *vm);
/*
 * Returns when no vCPU runs and no device touches memory; or refuses, EBUSY, when the host is too
 * slow to finish a device's work: then the machine goes on.
 */
int vm_pause(struct vm *vm, struct err *e);
/* For a moment no vCPU runs: returns whether one did, which vm_release() takes. Devices go on. */
bool vm_hold(struct vm *vm);
void vm_release(struct vm *vm, bool ran);
bool vm_paused(struct vm *vm);
/*
 * Back to the state after vm_new(), on the same descriptors; a paused machine stays paused. EBUSY
 * when it has ended; one that cannot be built again ends with that sentence.
 */
int vm_restart(struct vm *vm, struct err *e);

/*
 * The machine has ended: makes all vCPUs quit and, when none runs any more, tells the host; does
 * nothing when that has been done.
 * Any thread, with no lock held.
 */
void vm_end(struct vm *vm, enum ending_kind kind, int code, const char *why);

/* ---- vm_cpus.c: which vCPUs there are ---- */

/* Settles topology and ids, or refuses what this host's KVM cannot; makes vcpus, all unplugged. */
int vm_cpus_new(struct vm *vm, struct err *e);
/* After vm->fd was made: those of cpu.count get their KVM side, plugged in. */
int vm_cpus_build(struct vm *vm, const struct boot_entry *entry, struct err *e);
void vm_cpus_unbuild(struct vm *vm);
/* Starts the threads that are missing, which wait until the VM's request lets them run. */
int vm_cpus_start(struct vm *vm, struct err *e);
/*
 * The first n vCPUs are those that the guest shall have. What is missing comes at once, and the
 * guest is told; what is too much it is asked to let go, and does when it likes. On failure
 * those that came stay.
 */
int vm_cpus_set(struct vm *vm, unsigned n, struct err *e);
/* Puts each vCPU's thread where cpu.affinity says. After a failure some have moved. */
int vm_cpus_set_affinity(struct vm *vm, const struct keyed *affinity, struct err *e);
/* cpuplug's host: the guest has let go of one. Any thread. */
void vm_cpus_ejected(void *vm, unsigned vcpu);

/* ---- vm_inspect.c: looking into it ---- */

/* Writes a core file (core.h) into an empty one; a machine that runs stands still meanwhile. */
int vm_dump(struct vm *vm, int fd, struct err *e);
/* Puts every vCPU's registers where other processes read them. The machine stands still. */
void vm_publish_registers(struct vm *vm);

/* ---- vm_signals.c: from a guest's threads to the loop ---- */

int vm_signals_new(struct vm *vm, struct err *e);
void vm_signals_free(struct vm *vm);
/* The guest's kernel crashed, or its watchdog came to 0: acts as the configuration says. Any
 * thread. */
void vm_signal_wish(struct vm *vm, enum guest_wish wish);
/* The guest uses a vCPU, or does so no more. Any thread. */
void vm_signal_online(struct vm *vm, unsigned vcpu, bool online);

/* ---- for vCPU threads ---- */

/* Waits while the request is VM_PAUSE or it is not plugged in; false when it is VM_QUIT. */
bool vm_park(struct vm *vm, struct vcpu *v);

#endif
