/* MSI-X of a PCI function (PCI Local Bus 3.0, 6.8.2): table, pending bits, delivery. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/pci/pci_priv.h"

#define CAP_MSIX	 0x11
#define CONTROL_ENABLE	 0x8000
#define CONTROL_MASK_ALL 0x4000
#define ENTRY_MASKED	 1u

struct msix {
	unsigned n;
	unsigned cap; /* offset in configuration space */
	unsigned bar;
	uint32_t table, pending_at;
	struct vector {
		uint32_t word[4]; /* address low and high, data, control */
		bool pending;
		int fd;	   /* for vhost, or -1 */
		int route; /* the host's, while on */
		bool on;   /* a signal on fd goes to the guest */
	} vectors[];
};

int pci_set_msix(struct pci_function *f, unsigned n, unsigned bar, uint32_t table, uint32_t pending,
		 struct err *e)
{
	uint32_t body[3] = { n - 1, table | bar, pending | bar };
	unsigned char bytes[10];
	struct msix *m = calloc(1, sizeof(*m) + n * sizeof(m->vectors[0]));

	if (!m)
		return err_sys(e, ENOMEM, "MSI-X");
	memcpy(bytes, body, 2);
	memcpy(bytes + 2, body + 1, 8);
	*m = (struct msix){ .n = n, .bar = bar, .table = table, .pending_at = pending };
	for (unsigned i = 0; i < n; i++)
		m->vectors[i] =
			(struct vector){ .word = { [3] = ENTRY_MASKED }, .fd = -1, .route = -1 };
	m->cap = pci_add_capability(f, CAP_MSIX, bytes, sizeof(bytes));
	f->writable[m->cap + 3] = (CONTROL_ENABLE | CONTROL_MASK_ALL) >> 8;
	f->msix = m;
	return 0;
}

unsigned pci_msix_vectors(const struct pci_function *f)
{
	return f->msix ? f->msix->n : 0;
}

/* ---- delivery ---- */

static bool msix_open(const struct pci_function *f, const struct vector *v)
{
	uint16_t control = pci_config_u16(f, f->msix->cap + 2);

	return (control & CONTROL_ENABLE) && !(control & CONTROL_MASK_ALL) &&
	       !(v->word[3] & ENTRY_MASKED);
}

static uint64_t vector_address(const struct vector *v)
{
	return v->word[0] | (uint64_t)v->word[1] << 32;
}

static void vector_deliver(struct pci_function *f, struct vector *v)
{
	v->pending = false;
	f->bus->ops->msi(f->bus->arg, vector_address(v), v->word[2]);
}

/*
 * Makes what is so what the registers say. A signal on the descriptor of a vector that is masked
 * stays in it, and comes when it is connected again.
 */
static void vector_update(struct pci_function *f, struct vector *v)
{
	const struct pci_bus *b = f->bus;
	bool open = b && msix_open(f, v);

	if (open && v->pending)
		vector_deliver(f, v);
	if (v->fd < 0 || !b || !b->ops->msi_fd || (!open && !v->on))
		return;
	v->on = b->ops->msi_fd(b->arg, &v->route, v->fd, vector_address(v), v->word[2], open) ==
			0 &&
		open;
}

void msix_changed(struct pci_function *f)
{
	for (unsigned i = 0; f->msix && i < f->msix->n; i++)
		vector_update(f, &f->msix->vectors[i]);
}

void pci_msix_signal(struct pci_function *f, unsigned vector)
{
	struct vector *v;

	if (!f->msix || vector >= f->msix->n || !f->bus)
		return;
	v = &f->msix->vectors[vector];
	pci_lock(f);
	v->pending = true;
	if (msix_open(f, v))
		vector_deliver(f, v);
	pci_unlock(f);
}

int pci_msix_fd(struct pci_function *f, unsigned vector)
{
	struct vector *v;

	if (!f->msix || vector >= f->msix->n || !f->bus || !f->bus->ops->msi_fd)
		return -ENXIO;
	v = &f->msix->vectors[vector];
	pci_lock(f);
	if (v->fd < 0)
		v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vector_update(f, v);
	pci_unlock(f);
	return v->fd < 0 ? -ENXIO : v->fd;
}

/* ---- registers ---- */

/* Bits of 32 vectors from `word` on. */
static uint32_t pending_word(const struct msix *m, unsigned word)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32 && word * 32 + i < m->n; i++)
		bits |= (uint32_t)m->vectors[word * 32 + i].pending << i;
	return bits;
}

bool msix_read(struct pci_function *f, unsigned bar, uint64_t offset, uint32_t *ret)
{
	const struct msix *m = f->msix;

	if (!m || bar != m->bar)
		return false;
	if (offset >= m->table && offset - m->table < 16 * (uint64_t)m->n) {
		offset -= m->table;
		*ret = m->vectors[offset / 16].word[offset % 16 / 4];
		return true;
	}
	if (offset >= m->pending_at && offset - m->pending_at < (m->n + 63) / 64 * 8) {
		*ret = pending_word(m, (unsigned)(offset - m->pending_at) / 4);
		return true;
	}
	return false;
}

/* Other sizes than 4 are not allowed (6.8.2), and ignored. */
bool msix_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		uint32_t value)
{
	struct msix *m = f->msix;
	struct vector *v;
	uint32_t unused;

	if (!msix_read(f, bar, offset, &unused))
		return false;
	if (offset < m->table || offset - m->table >= 16 * (uint64_t)m->n)
		return true; // the pending bits are read only
	offset -= m->table;
	if (size != 4 || offset % 4)
		return true;
	v = &m->vectors[offset / 16];
	v->word[offset % 16 / 4] = value;
	// Drivers write an entry while it is masked: only the mask makes a route.
	if (offset % 16 == 12 || v->on)
		vector_update(f, v);
	return true;
}

/* ---- state ---- */

void msix_reset(struct pci_function *f)
{
	for (unsigned i = 0; f->msix && i < f->msix->n; i++) {
		struct vector *v = &f->msix->vectors[i];

		memset(v->word, 0, sizeof(v->word));
		v->word[3] = ENTRY_MASKED;
		v->pending = false;
	}
	msix_changed(f);
}

void msix_free(struct pci_function *f)
{
	for (unsigned i = 0; f->msix && i < f->msix->n; i++)
		if (f->msix->vectors[i].fd >= 0)
			close(f->msix->vectors[i].fd);
	free(f->msix);
	f->msix = NULL;
}

size_t msix_saved_len(const struct pci_function *f)
{
	return (size_t)pci_msix_vectors(f) * 17;
}

void msix_save(const struct pci_function *f, struct record *r)
{
	for (unsigned i = 0; f->msix && i < f->msix->n; i++) {
		for (unsigned k = 0; k < 4; k++)
			record_put_u32(r, f->msix->vectors[i].word[k]);
		record_put_u8(r, f->msix->vectors[i].pending);
	}
}

void msix_load(struct pci_function *f, struct record *r)
{
	for (unsigned i = 0; f->msix && i < f->msix->n; i++) {
		for (unsigned k = 0; k < 4; k++)
			f->msix->vectors[i].word[k] = record_get_u32(r);
		f->msix->vectors[i].pending = record_get_u8(r) & 1;
	}
}
