/* first */
#include "tests/unit/harness_container.h"
#include "tests/unit/tap.h"
int main(int argc, char **argv)
{
	struct harness h;
	harness_new(&h, "/tmp/cfroot");
	const char *s = harness_run(&h, argc > 1 ? argv[1] : "/bin/echo hello");
	printf("%s| %d %d %s\n", s ? s : "(null)", h.ending.kind, h.ending.code, h.err.text);
	harness_free(&h);
	return 0;
}
