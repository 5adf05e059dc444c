/* Unit test of struct ratelimit: the mean is exact at any size, the burst is what was said. */
#include "backends/base/ratelimit.h"

#include "tests/unit/tap.h"

#define SECOND 1000000000ull

/* What passes within ns when somebody always has the next request of size waiting. */
static uint64_t passed(struct ratelimit *r, uint64_t size, uint64_t start, uint64_t ns)
{
	uint64_t now = start, bytes = 0;

	for (;;) {
		uint64_t wait = ratelimit_take(r, size, 1, now);

		if (wait == 0) {
			bytes += size;
			continue;
		}
		if (wait > start + ns - now)
			return bytes;
		now += wait;
	}
}

static void test_mean(void)
{
	static const struct {
		uint64_t rate, burst, size;
	} cases[] = {
		{ 1000, 100, 1 },      { 1000, 100, 7 }, { 1000, 100, 1500 },
		{ 3, 1, 1 },	       { 7, 1, 2 },	 { 999983, 4096, 512 },
		{ 1000000, 1, 65536 }, { 1, 1, 1 },	 { 1 << 30, 0, 64 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ratelimit r = { 0 };
		struct ratelimit_rates rates = RATELIMIT_NONE;
		uint64_t burst = cases[i].burst ? cases[i].burst : cases[i].rate / 10;
		uint64_t seconds = cases[i].rate > 1000000 ? 1 : 100, got, most, least;

		rates.bytes = (struct rate){ cases[i].rate, cases[i].burst };
		ratelimit_set(&r, &rates, 12345);
		got = passed(&r, cases[i].size, 12345, seconds * SECOND);
		most = seconds * cases[i].rate + burst;
		/* What is larger than the burst borrows at the end; what is smaller waits for it.
		 */
		least = most - (cases[i].size < most ? cases[i].size : most);
		if (cases[i].size > burst)
			most += cases[i].size - burst;
		ok(got >= least && got <= most, "%lu bytes/s in pieces of %lu: %lu within %lu..%lu",
		   cases[i].rate, cases[i].size, got, least, most);
	}
}

static void test_burst(void)
{
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { 1000, 500 }, { LIMIT_MAX, 0 } };

	ok(ratelimit_take(&r, UINT64_MAX, 1, 0) == 0 && !ratelimit_active(&r),
	   "without rates everything passes");
	ratelimit_set(&r, &rates, 0);
	ok(ratelimit_active(&r), "with one it is active");
	ok(ratelimit_take(&r, 500, 1, 0) == 0, "the burst is there at once");
	ok(ratelimit_take(&r, 1, 1, 0) == SECOND / 1000, "then a byte takes its time");
	ok(ratelimit_take(&r, 1, 1, SECOND / 1000 - 1) == 1, "to the nanosecond");
	ok(ratelimit_take(&r, 1, 1, SECOND / 1000) == 0, "after which it passes");
	ok(ratelimit_take(&r, 500, 1, 3600 * SECOND) == 0 &&
		   ratelimit_take(&r, 1, 1, 3600 * SECOND) != 0,
	   "an hour of silence saves no more than the burst");
	ratelimit_set(&r, &rates, 3600 * SECOND);
	ok(ratelimit_take(&r, 1, 1, 3600 * SECOND) != 0, "setting it again gains nothing");
	ok(ratelimit_take(&r, 0, 1, 3600 * SECOND) == 0, "what costs nothing passes");
	ok(ratelimit_take(&r, 1, 1, 0) != 0, "a clock that goes back gains nothing");
}

/* Whoever waits is late by so much each time; how many pass in ten seconds. */
static uint64_t late_by(uint64_t late, uint64_t rate, uint64_t size, uint64_t burst)
{
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { rate, burst }, { LIMIT_MAX, 0 } };
	uint64_t now = 0, wait, got = 0;

	ratelimit_set(&r, &rates, now);
	while (now < 10 * SECOND) {
		wait = ratelimit_take(&r, size, 1, now);
		got += wait ? 0 : size;
		now += wait ? wait + late : 1000;
	}
	return got;
}

static void test_late(void)
{
	static const struct {
		uint64_t late, rate, size, burst;
	} cases[] = {
		{ 2000000, 100, 1, 1 },
		{ 2000000, 1000, 1, 1 },
		{ 5000000, 1 << 20, 65536, 65536 },
		{ 5000000, 1 << 20, 65536, 512 },
		{ 1, 1000, 7, 7 },
	};
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { 1000, 1 }, { LIMIT_MAX, 0 } };
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t want = cases[i].rate * 10, size = cases[i].size;
		uint64_t got = late_by(cases[i].late, cases[i].rate, size, cases[i].burst);

		ok(got + 2 * size + want / 500 >= want &&
			   got <= want + cases[i].burst + 2 * size + want / 500,
		   "timers %lu us late: %lu of %lu in pieces of %lu", cases[i].late / 1000, got,
		   want, size);
	}
	ratelimit_set(&r, &rates, 0);
	ratelimit_take(&r, 1, 1, 0);
	ratelimit_take(&r, 1, 1, 0);
	while (ratelimit_take(&r, 1, 1, 5 * SECOND) == 0)
		n++;
	ok(n <= 21, "who comes seconds late has the burst and little more: %lu", n);
	ratelimit_take(&r, 1, 1, 5 * SECOND);
	ratelimit_take(&r, 1, 1, 5 * SECOND + 15 * SECOND / 1000);
	ratelimit_take(&r, 1, 1, 6 * SECOND);
	ok(ratelimit_take(&r, 1, 1, 6 * SECOND) > 0, "and after silence the burst alone");
}

static void test_debt(void)
{
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { 1000, 100 }, { LIMIT_MAX, 0 } };

	ratelimit_set(&r, &rates, 0);
	ok(ratelimit_take(&r, 1100, 1, 0) == 0,
	   "more than the burst passes when the bucket is full");
	ok(ratelimit_take(&r, 1, 1, 0) == SECOND + SECOND / 1000, "and is paid for afterwards");
	ok(ratelimit_take(&r, 1100, 1, SECOND) == SECOND / 10,
	   "the next one waits for a full bucket");
	ok(ratelimit_take(&r, UINT64_MAX, 1, 2 * SECOND) == 0, "a size beyond all bounds");
	ok(ratelimit_take(&r, UINT64_MAX, 1, 3 * SECOND) > SECOND, "does not wrap around");
}

static void test_both(void)
{
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { 1000, 1000 }, { 10, 1 } };

	ratelimit_set(&r, &rates, 0);
	ok(ratelimit_take(&r, 10, 1, 0) == 0, "bytes and operations");
	ok(ratelimit_take(&r, 990, 1, 0) == SECOND / 10, "the scarcer one says how long");
	ok(ratelimit_take(&r, 1000, 0, 0) == SECOND / 100, "the refusal took nothing of the other");
	ok(ratelimit_take(&r, 990, 0, 0) == 0, "so that is still there");
	rates = (struct ratelimit_rates){ { 100, 10 }, { LIMIT_MAX, 0 } };
	ratelimit_set(&r, &rates, SECOND);
	ok(ratelimit_take(&r, 11, 1, SECOND) == 0 && ratelimit_take(&r, 1, 1, SECOND) != 0,
	   "a smaller burst cuts what was saved");
	rates = RATELIMIT_NONE;
	ratelimit_set(&r, &rates, SECOND);
	ok(ratelimit_take(&r, 1 << 30, 1, SECOND) == 0 && !ratelimit_active(&r),
	   "lifted, all passes");
}

/* A reader of frames, whose sizes it learns when it has them. */
static void test_charge(void)
{
	struct ratelimit r = { 0 };
	struct ratelimit_rates rates = { { 1000, 100 }, { LIMIT_MAX, 0 } };
	uint64_t now = 0, bytes = 0;

	ratelimit_set(&r, &rates, 0);
	while (now < 100 * SECOND) {
		uint64_t wait = ratelimit_ready(&r, now), size = 60 + bytes % 1400;

		now += wait;
		if (wait == 0) {
			ratelimit_charge(&r, size, 1, now);
			bytes += size;
		}
	}
	ok(bytes >= 100000 && bytes <= 100000 + 100 + 1460, "charged afterwards: %lu in 100 s",
	   bytes);
}

int main(void)
{
	uint64_t before = ratelimit_clock();

	test_mean();
	test_burst();
	test_late();
	test_debt();
	test_both();
	test_charge();
	ok(before > 0 && ratelimit_clock() >= before, "the clock goes forward");
	return tap_done();
}
