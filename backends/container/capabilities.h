/*
 * Capabilities by name and number, and what a container has when nobody says otherwise.
 * A mask has bit N set for capability number N of linux/capability.h.
 */
#ifndef BACKENDS_CONTAINER_CAPABILITIES_H
#define BACKENDS_CONTAINER_CAPABILITIES_H

#include <linux/capability.h>
#include <stdint.h>

#define CAPABILITY_BIT(n) (UINT64_C(1) << (n))

/*
 * The common runtimes' default. CAP_MKNOD is among them, so a machine's control group restricts
 * which nodes can be opened: cgroup_restrict_devices().
 */
#define CAPABILITIES_DEFAULT                                                                     \
	(CAPABILITY_BIT(CAP_CHOWN) | CAPABILITY_BIT(CAP_DAC_OVERRIDE) |                          \
	 CAPABILITY_BIT(CAP_FSETID) | CAPABILITY_BIT(CAP_FOWNER) | CAPABILITY_BIT(CAP_MKNOD) |   \
	 CAPABILITY_BIT(CAP_NET_RAW) | CAPABILITY_BIT(CAP_SETGID) | CAPABILITY_BIT(CAP_SETUID) | \
	 CAPABILITY_BIT(CAP_SETFCAP) | CAPABILITY_BIT(CAP_SETPCAP) |                             \
	 CAPABILITY_BIT(CAP_NET_BIND_SERVICE) | CAPABILITY_BIT(CAP_SYS_CHROOT) |                 \
	 CAPABILITY_BIT(CAP_KILL) | CAPABILITY_BIT(CAP_AUDIT_WRITE))

/* "chown" for 0 and so on: lower case, without the CAP_. NULL for a number that has no name. */
const char *capability_name(int number);
/* The number for "chown", "CHOWN", "cap_chown" or "CAP_CHOWN"; -1 for no capability. */
int capability_number(const char *name);

/* A mask of all capabilities that have a name here. */
uint64_t capabilities_all(void);

#endif
