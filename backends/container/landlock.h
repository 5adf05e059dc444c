/*
 * landlock(7): what of its own files a container's processes may reach, in the setting `landlock`,
 * whoever they are. The kernel's rules can be narrowed further from then on, never widened.
 *
 * Init makes the rules when it is in its root, and sends them to the monitor, which keeps them for
 * sessions: so these hold to the very same files, whatever the paths have come to mean since.
 */
#ifndef BACKENDS_CONTAINER_LANDLOCK_H
#define BACKENDS_CONTAINER_LANDLOCK_H

#include <stdint.h>

struct child;

/* The version of the interface that this kernel has; 0: none. */
int landlock_abi(void);

/* Of letters of "rwx", each once; 0: they are none. What the kernel does not know is among them. */
uint64_t landlock_rights(const char *letters);

/* Child's side: makes c->ruleset of the plan's rules, if there are any. */
void landlock_make(struct child *c);
/* Holds this process to c->ruleset, if there is one; with no_new_privs or CAP_SYS_ADMIN. */
void landlock_restrict(struct child *c);

#endif
