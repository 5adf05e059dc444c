/* struct inodes: see inodes.h. */
#include "backends/image/inodes.h"

#include <errno.h>
#include <stdlib.h>

/* Where it is, or belongs. There is always a free slot. */
static size_t slot_of(const struct inodes *s, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) & (s->size - 1);

	while (s->slots[i] && s->slots[i] != ino)
		i = (i + 1) & (s->size - 1);
	return i;
}

static int grow(struct inodes *s)
{
	struct inodes more = { .size = s->size ? 2 * s->size : 1024 };

	more.slots = calloc(more.size, sizeof(*more.slots));
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i])
			more.slots[slot_of(&more, s->slots[i])] = s->slots[i];
	free(s->slots);
	s->slots = more.slots;
	s->size = more.size;
	return 0;
}

int inodes_add(struct inodes *s, uint64_t ino)
{
	size_t at;

	if (2 * s->n >= s->size && grow(s) < 0)
		return -ENOMEM;
	at = slot_of(s, ino);
	s->n += !s->slots[at];
	s->slots[at] = ino;
	return 0;
}

bool inodes_has(const struct inodes *s, uint64_t ino)
{
	return s->n && s->slots[slot_of(s, ino)] == ino;
}

void inodes_free(struct inodes *s)
{
	free(s->slots);
	*s = (struct inodes){ 0 };
}
