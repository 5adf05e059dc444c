/* What the files of the PCI transport share. Sections are Virtio 1.2's. */
#ifndef VMM_VIRTIO_VIRTIO_PCI_PRIV_H
#define VMM_VIRTIO_VIRTIO_PCI_PRIV_H

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "vmm/virtio/virtio_pci.h"

struct event;

#define NO_VECTOR  VIRTIO_MSI_NO_VECTOR
#define ISR_QUEUE  1
#define ISR_CONFIG 2

#define STATUS_DRIVER                                                                       \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)
#define STATUS_RUN (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

struct virtio_pci;

struct vp_queue {
	struct virtq_setup setup;
	_Atomic uint16_t vector; /* the loop reads it without the lock */
	struct virtio_pci *owner;
	unsigned index;
	int kick_fd;
	struct event *kick_event;
};

struct virtio_pci {
	struct pci_function pci;
	struct virtio_device *virtio;
	unsigned cfg_window; /* offset of the PCI configuration access capability */

	pthread_mutex_t
		lock; /* the registers; taken inside of the bus lock, and inside of nothing */
	uint64_t driver_features;
	uint32_t device_select, driver_select; /* which half of the features */
	uint16_t queue_select;
	uint8_t status;
	uint8_t generation;
	bool reset_wanted;
	_Atomic uint16_t config_vector;
	_Atomic uint8_t isr;

	/* The loop's. */
	int work_fd; /* a vCPU has changed the status */
	struct event *work_event;
	bool started; /* the driver has said so and has not reset it */
	bool paused;
	atomic_bool doorbells;	  /* wanted; the bus lock orders their making */
	uint64_t doorbells_at;	  /* where KVM has them, 0: nowhere. Bus lock */
	struct vp_queue queues[]; /* setup under the lock until started, then fixed */
};

static inline struct virtio_pci *vp_of(struct pci_function *f)
{
	return (struct virtio_pci *)((char *)f - offsetof(struct virtio_pci, pci));
}

static inline struct virtio_pci *vp_of_device(struct device *d)
{
	return vp_of((struct pci_function *)((char *)d - offsetof(struct pci_function, device)));
}

static inline void vp_fd_signal(int fd)
{
	uint64_t one = 1;

	// A full counter is as good a signal.
	(void)!write(fd, &one, sizeof(one));
}

/* The vector, or NO_VECTOR for one that is not there. */
static inline uint16_t vp_vector(const struct virtio_pci *vp, uint32_t v)
{
	return v < pci_msix_vectors(&vp->pci) ? (uint16_t)v : NO_VECTOR;
}

/* virtio_pci_regs.c: the BAR, and the window to it (pci_function_ops). */
uint64_t vp_bar_read(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size);
void vp_bar_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		  uint64_t value);
bool vp_config(struct pci_function *f, bool write, unsigned offset, unsigned size, uint32_t *value);

/* virtio_pci_state.c: device_ops. */
void vp_save(struct device *d, struct record *r);
int vp_load(struct device *d, struct record *r, struct err *e);

/* virtio_pci.c. Loop thread. Doorbells and kicks of what is started, or none. */
void vp_connect(struct virtio_pci *vp);

#endif
