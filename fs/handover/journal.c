/* struct journal: see journal.h. */
#include "fs/handover/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int journal_map(struct journal *j, struct err *e)
{
	struct stat st;
	void *map;

	if (fstat(j->fd, &st) < 0 || st.st_size != sizeof(*j->page))
		return err_set(e, -ENXIO, "journal: not of this layout");
	map = mmap(NULL, sizeof(*j->page), PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
	if (map == MAP_FAILED)
		return err_sys(e, errno, "journal");
	j->page = map;
	return 0;
}

/* The lowest first, so that few pages of the file are touched. */
static void journal_list_free(struct journal *j)
{
	j->nfree = 0;
	for (int i = JOURNAL_CALLS - 1; i >= 0; i--)
		if (!j->page->calls[i].used)
			j->free[j->nfree++] = (uint16_t)i;
}

int journal_new(int *ret_fd, struct err *e)
{
	const uint32_t layout = JOURNAL_LAYOUT; /* the first member */
	int fd = memfd_create("journal", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct journal_page)) < 0 ||
	    pwrite(fd, &layout, sizeof(layout), 0) != sizeof(layout)) {
		err_sys(e, errno, "journal");
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	*ret_fd = fd;
	return 0;
}

int journal_open(int fd, struct journal **ret, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j) {
		close(fd);
		return err_sys(e, ENOMEM, "journal");
	}
	j->fd = fd;
	if (journal_map(j, e) < 0) {
		journal_free(j);
		return e->code;
	}
	if (j->page->layout != JOURNAL_LAYOUT || j->page->opening_len > sizeof(j->page->opening)) {
		journal_free(j);
		return err_set(e, -ENXIO, "journal: not of this layout");
	}
	journal_list_free(j);
	*ret = j;
	return 0;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	if (j->page)
		munmap(j->page, sizeof(*j->page));
	close(j->fd);
	free(j);
}

int journal_park(struct journal *j, uint64_t unique, const void *message, size_t len, int64_t since)
{
	struct journal_call *c;
	int call;

	if (!j->nfree)
		return -1;
	call = j->free[--j->nfree];
	c = &j->page->calls[call];
	c->unique = unique;
	c->since = since;
	c->answer = -EIO;
	c->len = len <= sizeof(c->message) ? (uint32_t)len : 0;
	memcpy(c->message, message, c->len);
	__atomic_store_n(&c->used, 1, __ATOMIC_RELEASE);
	return call;
}

void journal_unpark(struct journal *j, int call)
{
	if (call < 0)
		return;
	__atomic_store_n(&j->page->calls[call].used, 0, __ATOMIC_RELEASE);
	j->free[j->nfree++] = (uint16_t)call;
}

int journal_poll(struct journal *j, uint64_t number)
{
	for (unsigned i = 0; i < JOURNAL_POLLS; i++) {
		unsigned at = (j->poll_next + i) % JOURNAL_POLLS;

		if (j->page->polls[at])
			continue;
		j->page->polls[at] = number;
		j->poll_next = at + 1;
		return (int)at;
	}
	return -1;
}

void journal_unpoll(struct journal *j, int poll)
{
	if (poll < 0)
		return;
	j->page->polls[poll] = 0;
	j->poll_next = (unsigned)poll;
}

int journal_take(struct journal *j, struct journal_call **ret_calls, size_t *ret_n, struct err *e)
{
	size_t n = 0;

	*ret_calls = malloc((JOURNAL_CALLS - j->nfree + 1) * sizeof(**ret_calls));
	if (!*ret_calls)
		return err_sys(e, ENOMEM, "journal");
	for (size_t i = 0; i < JOURNAL_CALLS; i++) {
		struct journal_call *c = &j->page->calls[i];

		if (c->used && c->len <= sizeof(c->message))
			(*ret_calls)[n++] = *c;
		c->used = 0;
	}
	journal_list_free(j);
	*ret_n = n;
	return 0;
}
