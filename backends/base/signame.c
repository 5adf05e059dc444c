/* Signals: see signame.h. */
#include "backends/base/signame.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

int signal_number(const char *text)
{
	char *end;
	long n;

	if (isdigit((unsigned char)*text)) {
		n = strtol(text, &end, 10);
		return !*end && n > 0 && n <= SIGRTMAX ? (int)n : -1;
	}
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	if (!strncasecmp(text, "RTMIN+", 6) && isdigit((unsigned char)text[6])) {
		n = strtol(text + 6, &end, 10);
		return !*end && n <= SIGRTMAX - SIGRTMIN ? SIGRTMIN + (int)n : -1;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name && !strcasecmp(name, text))
			return i;
	}
	return -1;
}

/* libc's sigaction() will not touch 32 and 33, which its posix_spawn() leaves ignored. */
void signals_unignore(void)
{
	/* The kernel's struct: handler, flags, restorer, mask. */
	unsigned long was[4];
	const unsigned long defaults[4] = { (unsigned long)SIG_DFL };

	for (int n = 1; n < NSIG; n++)
		if (syscall(SYS_rt_sigaction, n, NULL, was, sizeof(was[3])) == 0 &&
		    was[0] == (unsigned long)SIG_IGN)
			syscall(SYS_rt_sigaction, n, defaults, NULL, sizeof(was[3]));
}
