/*
 * struct terminal: the monitor's end of a container's console, a pty. What is printed there is
 * given on; what is typed waits in a bounded buffer until the terminal takes it.
 */
#ifndef BACKENDS_CONTAINER_TERMINAL_H
#define BACKENDS_CONTAINER_TERMINAL_H

#include <stddef.h>

#include "backends/base/err.h"

struct event_base;
struct terminal;

/* Printed by the container; loop thread. */
typedef void terminal_output(void *arg, const void *data, size_t len);

/*
 * Takes over master (non-blocking) and slave; also when it fails. The slave is kept open, so that
 * the master does not hang up whenever no process of the container has it open.
 */
int terminal_new(struct event_base *loop, int master, int slave, terminal_output *output, void *arg,
		 struct terminal **ret, struct err *e);
void terminal_free(struct terminal *t);

/* Types; returns how many bytes were taken. Never blocks. */
size_t terminal_input(struct terminal *t, const void *data, size_t len);

/* Gives on what was printed up to now; bounded, in case something still prints. */
void terminal_drain(struct terminal *t);

#endif
