/*
 * struct pace: whether the loop's thread takes a CPU from a vCPU as soon as it has something to do.
 *
 * Where the two share a CPU, a guest's kick hands it to the loop at once. That is best for a guest
 * that waits for its request, and bad for one with many more of them at hand: it leaves for each
 * one, and no two are ever served together. Patient, the loop waits until the guest sleeps or has
 * had its turn (SCHED_BATCH), and finds all that it has asked for by then. Which is better nobody
 * can know before, so it is tried: patience stays while requests end faster with it by a quarter,
 * ends with the first that shows the contrary, and is tried again the later the more often it did
 * harm. Where there is a CPU for each of them neither is better, and the loop stays as it was.
 *
 * Of a machine, on its loop's thread; all functions take NULL, which is never patient.
 */
#ifndef VMM_PACE_H
#define VMM_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"

struct event_base;
struct pace;

int pace_new(struct event_base *loop, struct pace **ret, struct err *e);
void pace_free(struct pace *p); /* not patient any more */

/* So many requests have ended together, at this time of ratelimit_clock(). */
void pace_ended(struct pace *p, unsigned n, uint64_t now);
/* Not patient, for now: before a thread is made, which would inherit it. */
void pace_relax(struct pace *p);
bool pace_patient(const struct pace *p);

#endif
