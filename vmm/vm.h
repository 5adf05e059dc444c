/*
 * struct vm: one virtual machine: its memory, devices, vCPUs, and who of them may run.
 *
 * Owner: engine.c, on the monitor's loop thread; every vm_ function belongs to that thread unless
 * it says otherwise. vm_new() builds a machine that stands still; vm_run() lets it go.
 *
 * The vCPUs follow `request`, which changes only under `lock`:
 *   VM_RUN    they run;
 *   VM_PAUSE  they leave KVM_RUN and wait; `parked` counts those that do;
 *   VM_QUIT   their threads end.
 * Once VM_QUIT it stays so. Any thread may set it (a guest that powers itself off does so on a
 * vCPU thread); whoever is first tells the ending to the host.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backends/engine.h"
#include "backends/err.h"
#include "vmm/device.h"
#include "vmm/guestmem.h"
#include "vmm/iobus.h"
#include "vmm/vcpu.h"

struct uart;
struct pm;

enum vm_request { VM_RUN, VM_PAUSE, VM_QUIT };

#define VM_DEVICES 8

struct vm {
	struct engine_host *host;
	int fd; /* of the KVM virtual machine; made anew at a reset */
	struct guestmem mem;
	struct iobus pio;
	struct iobus mmio;
	struct uart *uart;
	struct pm *pm;
	unsigned ndevices;
	struct device *devices[VM_DEVICES]; /* owned; all of them, for reset, save, load, free */
	unsigned ncpus;
	struct vcpu *vcpus;

	pthread_mutex_t lock; /* request, parked, ended */
	pthread_cond_t asked; /* request changed */
	pthread_cond_t stood; /* parked changed */
	enum vm_request request;
	unsigned parked; /* vCPU threads that wait or have ended */
	bool ended;	 /* host->ended() has been, or is being, called */
};

/* Builds it, standing still. */
int vm_new(struct engine_host *host, struct vm **ret, struct err *e);
/* Stops what still runs; never calls ended(). Takes NULL and half-built ones. */
void vm_free(struct vm *vm);

void vm_run(struct vm *vm);
/* Returns when no vCPU runs. */
void vm_pause(struct vm *vm);
bool vm_paused(struct vm *vm);
/*
 * Back to the state after vm_new(), on the same descriptors; the vCPUs stand still. EBUSY when the
 * machine has ended; after any other failure it cannot run again.
 */
int vm_reset(struct vm *vm, struct err *e);

/*
 * The machine has ended: makes all vCPUs quit and, when none runs any more, tells the host; does
 * nothing when that has been done.
 * Any thread, with no lock held.
 */
void vm_end(struct vm *vm, enum ending_kind kind, int code, const char *why);

/* vCPU thread: waits as long as the request is VM_PAUSE; false when it is VM_QUIT. */
bool vm_park(struct vm *vm, struct vcpu *v);

#endif
