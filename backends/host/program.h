/*
 * program_open(): this program, to be executed once more by descriptor, through a mount of its own
 * that cannot be written.
 *
 * A container's first steps are taken by its monitor's program, and /proc/PID/exe leads there, even
 * where nothing of the host is mounted (CVE-2019-5736). While the program runs the kernel lets
 * nobody write it; through this mount nobody ever can.
 */
#ifndef BACKENDS_HOST_PROGRAM_H
#define BACKENDS_HOST_PROGRAM_H

/* -1: it takes root to make mounts. */
int program_open(void);

#endif
