/* Unit test of struct pace: patient where that pays, and nowhere else; the thread is as it says. */
#include "vmm/pace.h"

#include <event2/event.h>
#include <sched.h>

#include "tests/unit/tap.h"

#define US 1000ull
#define MS (1000 * US)

/* A load: what a request takes in either case. */
struct load {
	uint64_t prompt, patient;
};

struct sum {
	unsigned patient; /* requests */
	uint64_t took;
	bool thread_agrees;
};

static uint64_t now = 1000 * MS; // a test program is one file: its clock may be its own

static struct sum run(struct pace *p, const struct load *l, unsigned n)
{
	struct sum s = { .thread_agrees = true };

	for (unsigned i = 0; i < n; i++) {
		uint64_t took = pace_patient(p) ? l->patient : l->prompt;

		s.patient += pace_patient(p);
		s.took += took;
		now += took;
		pace_ended(p, 1, now);
		s.thread_agrees &= (sched_getscheduler(0) == SCHED_BATCH) == pace_patient(p);
	}
	return s;
}

static void test_loads(struct event_base *loop)
{
	static const struct {
		const char *name;
		struct load load;
		unsigned percent; /* in which it is patient: at least, or at most when below 50 */
	} loads[] = {
		{ "a deep queue on one CPU", { 1000 * US, 300 * US }, 95 },
		{ "a fast disk, likewise", { 10 * US, 5 * US }, 95 },
		{ "a CPU for each", { 20 * US, 20 * US }, 6 },
		{ "a little better", { 20 * US, 17 * US }, 6 },
		{ "one request and a busy guest", { 100 * US, 4 * MS }, 1 },
		{ "one request and a guest that sleeps", { 100 * US, 120 * US }, 6 },
		{ "a slow disk", { 8 * MS, 8 * MS }, 6 },
	};

	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		const struct load *l = &loads[i].load;
		const unsigned n = 400000;
		struct pace *p = NULL;
		struct sum s;

		ok(pace_new(loop, &p, NULL) == 0 && !pace_patient(p), "%s: prompt at first",
		   loads[i].name);
		s = run(p, l, n);
		if (loads[i].percent > 50)
			ok(s.patient > n / 100 * loads[i].percent, "it is patient: %u of %u",
			   s.patient, n);
		else
			ok(s.patient > 0 && s.patient < n / 100 * loads[i].percent,
			   "it only tries: %u of %u", s.patient, n);
		ok(s.took < l->prompt * n / 100 * 103, "which costs next to nothing: %lu us",
		   (unsigned long)(s.took / n / US));
		ok(s.thread_agrees, "the thread is what it says");
		pace_free(p);
		ok(sched_getscheduler(0) == SCHED_OTHER, "and in the end as it was");
	}
}

static void test_changes(struct event_base *loop)
{
	static const struct load deep = { 100 * US, 30 * US }, shallow = { 100 * US, 4 * MS };
	struct pace *p = NULL;
	struct sum s;

	pace_new(loop, &p, NULL);
	run(p, &deep, 2000);
	ok(pace_patient(p), "patient with a deep queue");
	s = run(p, &shallow, 2000);
	ok(!pace_patient(p) && s.patient < 10, "with another load it only tries: %u of 2000",
	   s.patient);
	run(p, &deep, 2000);
	ok(pace_patient(p), "and again");
	pace_relax(p);
	ok(!pace_patient(p) && sched_getscheduler(0) == SCHED_OTHER, "until it is told not to be");
	s = run(p, &deep, 4000);
	ok(s.patient > 2000, "for now");
	now += 500 * MS;
	pace_ended(p, 1, now);
	ok(!pace_patient(p), "after a while without any it begins anew");
	run(p, &deep, 2000);
	// The load just ends.
	for (int i = 0; i < 20 && pace_patient(p); i++)
		event_base_loop(loop, EVLOOP_ONCE);
	ok(!pace_patient(p) && sched_getscheduler(0) == SCHED_OTHER,
	   "when nothing ends it is not patient for long");
	pace_free(p);
}

static void test_others(struct event_base *loop)
{
	static const struct load deep = { 100 * US, 30 * US };
	static const struct sched_param none;
	struct pace *p = NULL;

	pace_ended(NULL, 1, now);
	pace_relax(NULL);
	pace_free(NULL);
	ok(!pace_patient(NULL), "none is never patient");
	pace_new(loop, &p, NULL);
	run(p, &deep, 2000);
	sched_setscheduler(0, SCHED_IDLE, &none); // as an administrator may
	run(p, &deep, 100000);
	pace_free(p);
	ok(sched_getscheduler(0) == SCHED_IDLE, "what others have set stays");
}

int main(void)
{
	struct event_base *loop = event_base_new();

	test_loads(loop);
	test_changes(loop);
	test_others(loop);
	event_base_free(loop);
	return tap_done();
}
