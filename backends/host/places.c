/* Where paths have led: see places.h; openat2(2). */
#include "backends/host/places.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/openin.h"

/* Only what a walk by names alone decides: access(2) as the owner is the opener's to ask. */
static bool worth_knowing(const struct hostpath *p)
{
	return p->kind == HOSTPATH_DIRECTORY && p->uid == geteuid();
}

/* False where the kernel is too old to tell mounts apart, Linux 5.8. */
static bool place_of(int fd, struct place *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &st) < 0 ||
	    !(st.stx_mask & STATX_MNT_ID))
		return false;
	ret->mount = st.stx_mnt_id;
	ret->inode = st.stx_ino;
	ret->major = st.stx_dev_major;
	ret->minor = st.stx_dev_minor;
	return true;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return a->mount == b->mount && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor;
}

static const struct place *places_by_path(const struct places *s, const struct hostpath *p)
{
	for (int i = 0; i < PLACES_MAX; i++)
		if (s->list[i].path && s->list[i].avoid == p->avoid &&
		    !strcmp(s->list[i].path, p->path))
			return &s->list[i];
	return NULL;
}

int places_find(const struct places *s, const struct hostpath *p)
{
	const struct place *known = worth_knowing(p) ? places_by_path(s, p) : NULL;
	char path[PATH_MAX];
	struct place here;
	int fd = -1;

	/* Behind a slash, it must be one that may be searched. */
	if (known && snprintf(path, sizeof(path), "%s/.", p->path) < (int)sizeof(path))
		fd = open_in(AT_FDCWD, path, O_PATH | O_DIRECTORY,
			     RESOLVE_CACHED | RESOLVE_NO_SYMLINKS);
	if (fd >= 0 && place_of(fd, &here) && same_place(known, &here))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void places_learn(struct places *s, const struct hostpath *p, int fd)
{
	struct place here = { .avoid = p->avoid }, *slot;

	if (!worth_knowing(p) || !place_of(fd, &here))
		return;
	slot = (struct place *)places_by_path(s, p);
	if (!slot) {
		slot = &s->list[s->next];
		here.path = strdup(p->path);
		if (!here.path)
			return;
		s->next = (s->next + 1) % PLACES_MAX;
		free(slot->path);
	} else {
		here.path = slot->path;
	}
	*slot = here;
}

void places_free(struct places *s)
{
	for (int i = 0; i < PLACES_MAX; i++)
		free(s->list[i].path);
	*s = (struct places){ 0 };
}
