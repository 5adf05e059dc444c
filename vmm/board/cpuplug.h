/*
 * struct cpuplug: registers by which a guest's ACPI learns which vCPUs there are, which have come,
 * which shall go, and by which it gives one back. acpi_cpus.c has the code that uses them; the
 * event that makes a guest look is pm.h's PM_EVENT_CPUS.
 *
 * What a guest writes here can only eject vCPUs of its own.
 */
#ifndef VMM_BOARD_CPUPLUG_H
#define VMM_BOARD_CPUPLUG_H

#include "vmm/cpu/cpu_topology.h"
#include "vmm/device.h"

#define CPUPLUG_PORT  0xaf00
#define CPUPLUG_PORTS 16

/* Registers, of 4 bytes each but for the flags. */
#define CPUPLUG_SELECT 0  /* the vCPU that the next two talk of */
#define CPUPLUG_FLAGS  4  /* one byte: see below; writing COMES or GOES clears it, EJECT ejects */
#define CPUPLUG_APIC   8  /* read: its APIC id */
#define CPUPLUG_NEXT   12 /* read: the first vCPU that has COMES or GOES; ~0 when none has */

#define CPUPLUG_PRESENT 0x01
#define CPUPLUG_COMES	0x02
#define CPUPLUG_GOES	0x04
#define CPUPLUG_EJECT	0x08

struct cpuplug;

struct cpuplug_host {
	/* The guest has let go of a vCPU. Any thread, no device lock held. */
	void (*ejected)(void *arg, unsigned vcpu);
	void *arg;
};

/* places vCPUs at most, of which the first `present` are there. The topology outlives it. */
int cpuplug_new(unsigned places, unsigned present, const struct cpu_topology *topology,
		struct cpuplug_host host, struct cpuplug **ret, struct err *e);
struct device *cpuplug_device(struct cpuplug *p);

/* A vCPU has come, or shall go; any thread. The caller raises the event. */
void cpuplug_add(struct cpuplug *p, unsigned vcpu);
void cpuplug_ask(struct cpuplug *p, unsigned vcpu);
bool cpuplug_present(struct cpuplug *p, unsigned vcpu);
/* Exactly the first n are present and nothing is asked; before a guest starts. */
void cpuplug_set(struct cpuplug *p, unsigned n);

#endif
