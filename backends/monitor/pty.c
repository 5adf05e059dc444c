/* struct pty: see pty.h. */
#include "backends/monitor/pty.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

void pty_open(struct pty *ret)
{
	struct pty p = PTY_NONE;
	struct termios t;

	*ret = PTY_NONE;
	p.master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p.master < 0)
		return;
	if (unlockpt(p.master) == 0 && ptsname_r(p.master, p.name, sizeof(p.name)) == 0)
		p.slave = ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p.slave < 0 || tcgetattr(p.slave, &t) < 0)
		goto fail;
	/* Raw: the machine's own terminal layer echoes, and our output must not come back. */
	cfmakeraw(&t);
	if (tcsetattr(p.slave, TCSANOW, &t) < 0)
		goto fail;
	*ret = p;
	return;
fail:
	pty_close(&p);
}

void pty_give(struct pty *p, uid_t uid)
{
	if (p->slave >= 0 && fchown(p->slave, uid, (gid_t)-1) < 0)
		pty_close(p);
}

void pty_close(struct pty *p)
{
	if (p->master >= 0)
		close(p->master);
	if (p->slave >= 0)
		close(p->slave);
	*p = PTY_NONE;
}
