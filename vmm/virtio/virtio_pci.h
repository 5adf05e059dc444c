/*
 * virtio_pci: the transport of virtio devices over PCI (Virtio 1.2, 4.1), modern only, MSI-X only.
 *
 * A vCPU thread reads and writes registers under a lock of this file's; what a write begins
 * (DRIVER_OK, a reset) happens on the loop. Doorbells are eventfds that KVM signals; where there is
 * no KVM a write to the notify region signals the same eventfd.
 */
#ifndef VMM_VIRTIO_VIRTIO_PCI_H
#define VMM_VIRTIO_VIRTIO_PCI_H

#include "vmm/pci/pci.h"
#include "vmm/virtio/virtio.h"

/* The one BAR. */
#define VP_BAR	   0
#define VP_COMMON  0x0000u
#define VP_ISR	   0x1000u
#define VP_CONFIG  0x2000u
#define VP_NOTIFY  0x3000u /* 4 bytes a queue */
#define VP_TABLE   0x4000u
#define VP_PENDING 0x6000u
#define VP_BAR_LEN 0x8000u

/* How long a pause or a reset of the machine waits for a device's host. */
#define VIRTIO_SETTLE_MS 5000

/*
 * Takes d over also when it fails. ret's struct device is what saves, resets and frees all of it;
 * pause() and resume() of it stop and start the device.
 */
int virtio_pci_new(struct virtio_device *d, struct pci_function **ret, struct err *e);

#endif
