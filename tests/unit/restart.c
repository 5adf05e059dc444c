/* struct restart: which endings ask for another run, and how long it waits. */
#include "fs/machine/restart.h"

#include "tests/unit/tap.h"

static void test_wanted(void)
{
	static const struct {
		struct ending ending;
		bool on_failure;
		const char *name;
	} rows[] = {
		{ { .kind = ENDING_EXITED, .code = 0 }, false, "exited 0" },
		{ { .kind = ENDING_EXITED, .code = 1 }, true, "exited 1" },
		{ { .kind = ENDING_SIGNALED, .code = 9 }, true, "signaled 9" },
		{ { .kind = ENDING_POWEROFF }, false, "poweroff" },
		{ { .kind = ENDING_RESET }, true, "reset" },
		{ { .kind = ENDING_FAILED, .why = "triple fault" }, true, "failed" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ok(!restart_wanted(RESTART_NEVER, &rows[i].ending), "never, after %s: no",
		   rows[i].name);
		ok(restart_wanted(RESTART_ALWAYS, &rows[i].ending), "always, after %s: yes",
		   rows[i].name);
		ok(restart_wanted(RESTART_ON_FAILURE, &rows[i].ending) == rows[i].on_failure,
		   "on-failure, after %s: %s", rows[i].name, rows[i].on_failure ? "yes" : "no");
	}
}

static void test_seconds(void)
{
	static const unsigned from_1[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	static const unsigned from_7[] = { 7, 14, 28, 56, 60, 60 };

	for (unsigned i = 0; i < sizeof(from_1) / sizeof(from_1[0]); i++)
		ok(restart_seconds(1, i + 1) == from_1[i], "1 s, time %u: %u s", i + 1,
		   restart_seconds(1, i + 1));
	for (unsigned i = 0; i < sizeof(from_7) / sizeof(from_7[0]); i++)
		ok(restart_seconds(7, i + 1) == from_7[i], "7 s, time %u: %u s", i + 1,
		   restart_seconds(7, i + 1));
	ok(restart_seconds(1, 4000000000u) == 60, "for ever");
	ok(restart_seconds(3600, 1) == 3600 && restart_seconds(3600, 9) == 3600,
	   "a delay of more than a minute stays what it is");
}

int main(void)
{
	test_wanted();
	test_seconds();
	return tap_done();
}
