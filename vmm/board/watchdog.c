/*
 * struct watchdog: see watchdog.h.
 *
 * The clock is a timerfd: a vCPU thread may set it, the loop thread sees it expire. While the
 * machine is held the timer is off and `left` keeps what remained.
 */
#include "vmm/board/watchdog.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define UNIT_NS	  (WATCHDOG_UNIT_MS * 1000000ull)
#define COUNT_NEW 300 /* half a minute, until a guest says otherwise */

struct watchdog {
	struct device device;
	struct guest_wishes wishes;
	struct event *event;
	int timer;
	pthread_mutex_t lock; /* everything below, and the timer's setting */
	bool held;
	bool running;
	bool fired; /* the status bit */
	uint16_t count;
	uint64_t until; /* CLOCK_MONOTONIC in ns; when running and not held */
	uint64_t left;	/* ns; when running and held; 0: it has fired */
};

static struct watchdog *watchdog_of(struct device *d)
{
	return (struct watchdog *)((char *)d - offsetof(struct watchdog, device));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ns until it fires, 0 when it does not; the lock is held. */
static uint64_t remains(const struct watchdog *w)
{
	uint64_t now = now_ns();

	if (!w->running || w->held)
		return w->running ? w->left : 0;
	return w->until > now ? w->until - now : 0;
}

/* Lets it fire in so many ns, 0: never; the lock is held. */
static void set_timer(struct watchdog *w, uint64_t ns)
{
	struct itimerspec t = { 0 };

	w->left = ns;
	w->until = ns ? now_ns() + ns : 0;
	if (!w->held) {
		t.it_value.tv_sec = (time_t)(ns / 1000000000);
		t.it_value.tv_nsec = (long)(ns % 1000000000);
	}
	(void)timerfd_settime(w->timer, 0, &t, NULL);
}

static void on_timer(int fd, short what, void *arg)
{
	struct watchdog *w = arg;
	uint64_t expired;
	bool fires = false;

	if (read(fd, &expired, sizeof(expired)) != sizeof(expired))
		return; // it was set anew meanwhile
	pthread_mutex_lock(&w->lock);
	if (w->running && !w->held && w->until && w->until <= now_ns()) {
		w->until = w->left = 0;
		w->fired = fires = true;
	}
	pthread_mutex_unlock(&w->lock);
	if (fires)
		w->wishes.ask(w->wishes.arg, GUEST_WATCHDOG);
}

void watchdog_hold(struct watchdog *w, bool hold)
{
	pthread_mutex_lock(&w->lock);
	if (hold != w->held) {
		uint64_t ns = remains(w);

		w->held = hold;
		set_timer(w, ns);
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- registers ---- */

static uint64_t watchdog_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct watchdog *w = watchdog_of(d);
	uint64_t v = 0;

	pthread_mutex_lock(&w->lock);
	if (offset == WATCHDOG_COUNT)
		v = w->count;
	else if (offset == WATCHDOG_LEFT)
		v = (remains(w) + UNIT_NS - 1) / UNIT_NS;
	else if (offset == WATCHDOG_CONTROL)
		v = w->running;
	else if (offset == WATCHDOG_STATUS)
		v = w->fired;
	pthread_mutex_unlock(&w->lock);
	return v;
}

static void watchdog_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
			   uint64_t value)
{
	struct watchdog *w = watchdog_of(d);
	bool wind = offset == WATCHDOG_WIND;

	pthread_mutex_lock(&w->lock);
	if (offset == WATCHDOG_COUNT && size == 2) {
		w->count = (uint16_t)value;
		wind = true;
	} else if (offset == WATCHDOG_CONTROL) {
		w->running = value & 1;
		wind = true;
	} else if (offset == WATCHDOG_STATUS) {
		w->fired = w->fired && (value & 1);
	}
	if (wind)
		set_timer(w, w->running ? w->count * UNIT_NS : 0);
	pthread_mutex_unlock(&w->lock);
}

/* That it fired is what the guest asks for after it. */
static void watchdog_reset(struct device *d)
{
	struct watchdog *w = watchdog_of(d);

	pthread_mutex_lock(&w->lock);
	w->running = false;
	w->count = COUNT_NEW;
	set_timer(w, 0);
	pthread_mutex_unlock(&w->lock);
}

static void watchdog_save(struct device *d, struct record *r)
{
	struct watchdog *w = watchdog_of(d);

	pthread_mutex_lock(&w->lock);
	record_put_u8(r, 1);
	record_put_u8(r, w->running);
	record_put_u8(r, w->fired);
	record_put_u32(r, w->count);
	record_put_u64(r, remains(w));
	pthread_mutex_unlock(&w->lock);
}

static int watchdog_load(struct device *d, struct record *r, struct err *e)
{
	struct watchdog *w = watchdog_of(d);
	uint8_t version = record_get_u8(r), running = record_get_u8(r), fired = record_get_u8(r);
	uint32_t count = record_get_u32(r);
	uint64_t left = record_get_u64(r);

	if (version != 1 || running > 1 || fired > 1 || count > WATCHDOG_COUNT_MAX ||
	    left > WATCHDOG_COUNT_MAX * UNIT_NS || !record_done(r))
		return err_set(e, -EINVAL, "watchdog: not a state that this version can load");
	pthread_mutex_lock(&w->lock);
	w->running = running;
	w->fired = fired;
	w->count = (uint16_t)count;
	set_timer(w, running ? left : 0);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static void watchdog_free(struct device *d)
{
	struct watchdog *w = watchdog_of(d);

	if (w->event)
		event_free(w->event);
	if (w->timer >= 0)
		close(w->timer);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static const struct device_ops watchdog_ops = {
	.name = "watchdog",
	.access_max = 2,
	.read = watchdog_read,
	.write = watchdog_write,
	.reset = watchdog_reset,
	.save = watchdog_save,
	.load = watchdog_load,
	.free = watchdog_free,
};

int watchdog_new(struct event_base *loop, struct guest_wishes wishes, struct watchdog **ret,
		 struct err *e)
{
	struct watchdog *w = calloc(1, sizeof(*w));

	if (!w)
		return err_sys(e, ENOMEM, "watchdog");
	w->device.ops = &watchdog_ops;
	w->wishes = wishes;
	w->held = true;
	w->count = COUNT_NEW;
	pthread_mutex_init(&w->lock, NULL);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer >= 0)
		w->event = event_new(loop, w->timer, EV_READ | EV_PERSIST, on_timer, w);
	if (!w->event || event_add(w->event, NULL) < 0) {
		watchdog_free(&w->device);
		return err_sys(e, ENOMEM, "watchdog: no timer");
	}
	*ret = w;
	return 0;
}

struct device *watchdog_device(struct watchdog *w)
{
	return &w->device;
}
