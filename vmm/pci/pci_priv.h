/* What pci.c and pci_msix.c share. Bus lock held, but for making and freeing. */
#ifndef VMM_PCI_PCI_PRIV_H
#define VMM_PCI_PCI_PRIV_H

#include "vmm/pci/pci.h"

struct pci_bus {
	struct device device;
	const struct pci_host_ops *ops;
	void *arg;
	uint64_t window64;
	struct device *cf9; /* whose that port is, or NULL */
	unsigned cf9_region;
	pthread_mutex_t lock; /* all below, and the functions' configuration */
	struct pci_function *slots[PCI_SLOTS];
	struct pci_function bridge;
	uint32_t address; /* port 0xcf8 */
	uint32_t plugged; /* slots to be told to the guest; reading clears */
	uint32_t asked;	  /* slots that the guest shall let go; likewise */
	uint32_t ejected; /* slots that it let go, for the loop */
	int eject_fd;
	struct event *eject_event;
};

static inline uint16_t pci_config_u16(const struct pci_function *f, unsigned offset)
{
	return (uint16_t)(f->config[offset] | f->config[offset + 1] << 8);
}

static inline void pci_lock(struct pci_function *f)
{
	if (f->bus)
		pthread_mutex_lock(&f->bus->lock);
}

static inline void pci_unlock(struct pci_function *f)
{
	if (f->bus)
		pthread_mutex_unlock(&f->bus->lock);
}

#define PCI_HEADER_END 0x40 /* capabilities begin here */

/* Registers have changed: where BARs answer follows. */
void pci_function_map(struct pci_function *f);
/* Gives each BAR a home, in f->slot, where nobody else is yet. */
int pci_function_house(struct pci_bus *b, struct pci_function *f, struct err *e);
/* Writable bits to zero, interrupts masked, nothing answers. */
void pci_function_clear(struct pci_function *f);

/* An access to the table or the pending bits of f's MSI-X; false when offset is neither's. */
bool msix_read(struct pci_function *f, unsigned bar, uint64_t offset, uint32_t *ret);
bool msix_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		uint32_t value);
/* The control register, or everything, may have changed. */
void msix_changed(struct pci_function *f);
void msix_reset(struct pci_function *f);
void msix_free(struct pci_function *f);
size_t msix_saved_len(const struct pci_function *f);
void msix_save(const struct pci_function *f, struct record *r);
void msix_load(struct pci_function *f, struct record *r);

#endif
