/* vm_engine with the tiny guest on the real /dev/kvm: every verb and every ending. */
#include "tests/unit/harness_vm.h"

#define LONG 5000

static void test_endings(void)
{
	static const struct {
		const char *cmdline;
		enum ending_kind kind;
		const char *why;
	} cases[] = {
		{ "poweroff", ENDING_POWEROFF, "" },
		{ "reboot", ENDING_RESET, "" },
		{ "reboot=kbd", ENDING_RESET, "" },
		{ "triple", ENDING_FAILED, "triple fault at rip 0x" },
		{ "badinsn", ENDING_FAILED, "KVM internal error: " },
	};
	struct machine m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = machine_start(&m, "tiny.elf", cases[i].cmdline);

		ok(r == 0 && machine_says(&m, "tiny: ready\n", LONG), "%s: boots%s",
		   cases[i].cmdline, m.err.text);
		ok(machine_ends(&m, cases[i].kind, LONG) &&
			   strncmp(m.ending.why, cases[i].why, strlen(cases[i].why)) == 0,
		   "%s: ends so: %s", cases[i].cmdline, m.ending.why);
		machine_free(&m);
	}
}

int main(void)
{
	need_kvm();
	test_endings();
	return tap_done();
}
