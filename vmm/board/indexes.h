/*
 * struct indexes: index registers, whose writes KVM keeps for us (Linux,
 * Documentation/virt/kvm/api.rst, KVM_REGISTER_COALESCED_MMIO).
 *
 * To write an index register does nothing yet: it says what the next access is about, and that one
 * leaves the guest anyhow. So the first need not, once KVM knows of the register: it is kept in a
 * ring that is looked at first whenever a vCPU has left the guest. A kernel that looks for PCI
 * devices leaves the guest half as often.
 *
 * A register is made known when a guest has written it for the first time: those that never do,
 * start sooner. It is asked for with the vCPU threads running, which all call the functions below.
 */
#ifndef VMM_BOARD_INDEXES_H
#define VMM_BOARD_INDEXES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/board/iobus.h"

struct kvm_coalesced_mmio_ring;

struct indexes {
	pthread_mutex_t lock;		      /* for who takes out of the ring */
	struct kvm_coalesced_mmio_ring *ring; /* NULL: this KVM keeps nothing */
	uint32_t max;			      /* entries that there is room for */
	int vm;				      /* KVM's; the caller's */
	bool ports;			      /* it keeps writes to ports, too: Linux 5.2 */
	_Atomic unsigned known;		      /* a bit for each register */
};

void indexes_init(struct indexes *x);
void indexes_destroy(struct indexes *x);

/*
 * The ring lies in what is mapped of any vCPU, run, which must stay so until indexes_end(). No vCPU
 * runs when these are called.
 */
void indexes_begin(struct indexes *x, int kvm, int vm, void *run);
void indexes_end(struct indexes *x);

/* A vCPU has left the guest to write addr, a port's number or a physical address. */
void indexes_written(struct indexes *x, bool port, uint64_t addr);

/* What was kept is written; before anything else is done that the guest asked for. */
void indexes_finish(struct indexes *x, const struct iobus *ports, const struct iobus *mmio);

#endif
