/*
 * What is handed to whoever serves a device's queues in the VMM's place, be it another process
 * (vhost_user.h) or the kernel (vhost_kernel.h): guest memory, and where the rings lie in it. All
 * addresses are those of this process.
 */
#ifndef BACKENDS_VHOST_VHOST_H
#define BACKENDS_VHOST_VHOST_H

#include <stdint.h>

#define VHOST_REGIONS 8

/* A range of guest-physical addresses, in the memory file and in this process. */
struct vhost_region {
	uint64_t gpa;
	uint64_t len;
	uint64_t address;
	uint64_t offset; /* in the file, where there is one */
};

struct vhost_vring {
	uint32_t size;
	uint32_t base;		    /* the next available index */
	uint64_t desc, used, avail; /* addresses in this process */
	int kick, call;		    /* eventfds; stay the caller's */
};

#endif
