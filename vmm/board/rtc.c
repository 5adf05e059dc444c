/* struct rtc: see rtc.h. Register numbers and bits as in the MC146818 data sheet. */
#include "vmm/board/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	CMOS_SECONDS = 0,
	CMOS_MINUTES = 2,
	CMOS_HOURS = 4,
	CMOS_WEEKDAY = 6,
	CMOS_DAY = 7,
	CMOS_MONTH = 8,
	CMOS_YEAR = 9,
	CMOS_A = 10,
	CMOS_B = 11,
	CMOS_C = 12,
	CMOS_D = 13,
	CMOS_CENTURY = 0x32,
	CMOS_SIZE = 128,
};

#define A_UPDATING 0x80
#define A_32768HZ  0x26 /* the usual divider and rate */
#define B_24H	   0x02
#define B_BINARY   0x04
#define B_SET	   0x80 /* the clock stands still while it is being set */
#define D_VALID	   0x80
#define UPDATE_NS  244000 /* how long before a second's end "updating" shows */

struct rtc {
	struct device device;
	pthread_mutex_t lock;
	uint8_t index;
	int64_t offset;		 /* seconds that the guest's clock is ahead of the host's */
	uint8_t cmos[CMOS_SIZE]; /* clock registers only while B_SET holds them */
};

static struct rtc *rtc_of(struct device *d)
{
	return (struct rtc *)((char *)d - offsetof(struct rtc, device));
}

static bool is_clock(uint8_t index)
{
	return index == CMOS_SECONDS || index == CMOS_MINUTES || index == CMOS_HOURS ||
	       (index >= CMOS_WEEKDAY && index <= CMOS_YEAR) || index == CMOS_CENTURY;
}

static uint8_t rtc_encode(const struct rtc *r, int v)
{
	return (uint8_t)(r->cmos[CMOS_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int rtc_decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[CMOS_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t rtc_hours(const struct rtc *r, int h)
{
	if (r->cmos[CMOS_B] & B_24H)
		return rtc_encode(r, h);
	return rtc_encode(r, (h + 11) % 12 + 1) | (h >= 12 ? 0x80 : 0);
}

/* Writes the time now into the clock registers. */
static void rtc_latch(struct rtc *r)
{
	time_t t = time(NULL) + (time_t)r->offset;
	struct tm tm;
	int year;

	// A guest may have set any time; a year that four digits cannot tell is left alone.
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return;
	year = tm.tm_year + 1900;
	r->cmos[CMOS_SECONDS] = rtc_encode(r, tm.tm_sec);
	r->cmos[CMOS_MINUTES] = rtc_encode(r, tm.tm_min);
	r->cmos[CMOS_HOURS] = rtc_hours(r, tm.tm_hour);
	r->cmos[CMOS_WEEKDAY] = rtc_encode(r, tm.tm_wday + 1);
	r->cmos[CMOS_DAY] = rtc_encode(r, tm.tm_mday);
	r->cmos[CMOS_MONTH] = rtc_encode(r, tm.tm_mon + 1);
	r->cmos[CMOS_YEAR] = rtc_encode(r, year % 100);
	r->cmos[CMOS_CENTURY] = rtc_encode(r, year / 100);
}

/* The guest has set the clock registers: keeps the difference. */
static void rtc_settle(struct rtc *r)
{
	int hours = rtc_decode(r, r->cmos[CMOS_HOURS] & 0x7f);
	struct tm tm = { 0 };
	time_t t;

	if (!(r->cmos[CMOS_B] & B_24H))
		hours = hours % 12 + (r->cmos[CMOS_HOURS] & 0x80 ? 12 : 0);
	tm.tm_sec = rtc_decode(r, r->cmos[CMOS_SECONDS]);
	tm.tm_min = rtc_decode(r, r->cmos[CMOS_MINUTES]);
	tm.tm_hour = hours;
	tm.tm_mday = rtc_decode(r, r->cmos[CMOS_DAY]);
	tm.tm_mon = rtc_decode(r, r->cmos[CMOS_MONTH]) - 1;
	tm.tm_year = rtc_decode(r, r->cmos[CMOS_CENTURY]) * 100 +
		     rtc_decode(r, r->cmos[CMOS_YEAR]) - 1900;
	t = timegm(&tm);
	if (t != (time_t)-1)
		r->offset = (int64_t)t - (int64_t)time(NULL);
}

static uint8_t rtc_reg_a(const struct rtc *r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (!(r->cmos[CMOS_B] & B_SET) && ts.tv_nsec >= 1000000000 - UPDATE_NS)
		return r->cmos[CMOS_A] | A_UPDATING;
	return r->cmos[CMOS_A];
}

static uint64_t rtc_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	struct rtc *r = rtc_of(d);
	uint8_t v;

	pthread_mutex_lock(&r->lock);
	if (offset == 0)
		v = 0xff; // the index is write only
	else if (r->index == CMOS_A)
		v = rtc_reg_a(r);
	else {
		if (is_clock(r->index) && !(r->cmos[CMOS_B] & B_SET))
			rtc_latch(r);
		v = r->cmos[r->index];
	}
	pthread_mutex_unlock(&r->lock);
	return v;
}

static void rtc_set(struct rtc *r, uint8_t v)
{
	bool held = r->cmos[CMOS_B] & B_SET;

	switch (r->index) {
	case CMOS_A:
		r->cmos[CMOS_A] = v & (uint8_t)~A_UPDATING;
		break;
	case CMOS_B:
		if (!held && (v & B_SET))
			rtc_latch(r);
		if (held && !(v & B_SET))
			rtc_settle(r);
		r->cmos[CMOS_B] = v;
		break;
	case CMOS_C:
	case CMOS_D:
		break; // read only
	default:
		if (is_clock(r->index) && !held)
			rtc_latch(r);
		r->cmos[r->index] = v;
		if (is_clock(r->index) && !held)
			rtc_settle(r);
	}
}

static void rtc_write(struct device *d, unsigned region, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct rtc *r = rtc_of(d);

	pthread_mutex_lock(&r->lock);
	if (offset == 0)
		r->index = value & (CMOS_SIZE - 1); // bit 7 is the PC's NMI mask
	else
		rtc_set(r, (uint8_t)value);
	pthread_mutex_unlock(&r->lock);
}

/* The battery keeps memory and clock: a reset only puts the registers back. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = rtc_of(d);

	pthread_mutex_lock(&r->lock);
	r->index = 0;
	r->cmos[CMOS_A] = A_32768HZ;
	r->cmos[CMOS_B] = B_24H;
	r->cmos[CMOS_C] = 0;
	r->cmos[CMOS_D] = D_VALID;
	pthread_mutex_unlock(&r->lock);
}

static void rtc_save(struct device *d, struct record *rec)
{
	struct rtc *r = rtc_of(d);

	pthread_mutex_lock(&r->lock);
	record_put_u8(rec, 1); // version
	record_put_u8(rec, r->index);
	record_put_u64(rec, (uint64_t)r->offset);
	record_put(rec, r->cmos, sizeof(r->cmos));
	pthread_mutex_unlock(&r->lock);
}

static int rtc_load(struct device *d, struct record *rec, struct err *e)
{
	struct rtc *r = rtc_of(d);
	uint8_t version = record_get_u8(rec), index = record_get_u8(rec), cmos[CMOS_SIZE];
	int64_t offset = (int64_t)record_get_u64(rec);

	record_get(rec, cmos, sizeof(cmos));
	if (version != 1 || index >= CMOS_SIZE || offset > INT64_MAX / 4 ||
	    offset < INT64_MIN / 4 || !record_done(rec))
		return err_set(e, -EINVAL, "rtc: not a state that this version can load");
	pthread_mutex_lock(&r->lock);
	r->index = index;
	r->offset = offset;
	memcpy(r->cmos, cmos, sizeof(cmos));
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static void rtc_free(struct device *d)
{
	struct rtc *r = rtc_of(d);

	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct device_ops rtc_ops = {
	.name = "rtc",
	.access_max = 1,
	.read = rtc_read,
	.write = rtc_write,
	.reset = rtc_reset,
	.save = rtc_save,
	.load = rtc_load,
	.free = rtc_free,
};

int rtc_new(struct device **ret, struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));

	if (!r)
		return err_sys(e, ENOMEM, "rtc");
	r->device.ops = &rtc_ops;
	pthread_mutex_init(&r->lock, NULL);
	rtc_reset(&r->device);
	*ret = &r->device;
	return 0;
}
