/* struct session: see session.h. */
#include "fs/handover/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/front/fuse_mount.h"
#include "fs/log.h"
#include "fs/notify.h"

#define LISTEN_MAX 16

static const char *const names[SESSION_FDS] = { "fuse", "journal", "luggage" };

static bool *session_has(struct session *s, enum session_fd which)
{
	return &s->have[which - SESSION_FUSE];
}

/* ---- what was handed over ---- */

/* sd_listen_fds(3): how many, if they are meant for this process. */
static int listen_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long n = pid && fds && strtol(pid, NULL, 10) == getpid() ? strtol(fds, NULL, 10) : 0;

	return n < 0 ? 0 : n > LISTEN_MAX ? LISTEN_MAX : (int)n;
}

/* Which of ours a word of LISTEN_FDNAMES is, or -1. */
static int name_find(const char *word, size_t len)
{
	for (int i = 0; i < SESSION_FDS; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], word, len))
			return i;
	return -1;
}

/* They may come in any order, so they are moved away before they are put in their places. */
static int listen_take(int ret[SESSION_FDS])
{
	const char *word = getenv("LISTEN_FDNAMES");
	int n = word ? listen_count() : 0;

	for (int fd = SESSION_FUSE; fd < SESSION_FUSE + n; fd++) {
		size_t len = strcspn(word, ":");
		int which = name_find(word, len);

		if (which >= 0 && ret[which] < 0) {
			ret[which] = fcntl(fd, F_DUPFD_CLOEXEC, SESSION_FUSE + LISTEN_MAX);
			if (ret[which] < 0)
				return -errno;
		}
		close(fd);
		word += len + (word[len] == ':');
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return 0;
}

int session_put(struct session *s, enum session_fd which, int fd, struct err *e)
{
	if (dup3(fd, (int)which, O_CLOEXEC) < 0)
		err_sys(e, errno, "descriptor %d", which);
	else
		*session_has(s, which) = true;
	close(fd);
	return e->code;
}

/* The number stays taken. */
static void session_drop(struct session *s, enum session_fd which)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	*session_has(s, which) = false;
	if (null >= 0 && null != (int)which) {
		dup3(null, (int)which, O_CLOEXEC);
		close(null);
	}
}

int session_init(struct session *s, struct err *e)
{
	int fds[SESSION_FDS] = { -1, -1, -1 }, rc = listen_take(fds);

	*s = (struct session){ 0 };
	if (rc < 0)
		return err_sys(e, -rc, "inherited descriptors");
	for (int which = SESSION_FUSE; which < SESSION_FD_END; which++)
		session_drop(s, (enum session_fd)which);
	for (int i = 0; rc == 0 && i < SESSION_FDS; i++)
		if (fds[i] >= 0)
			rc = session_put(s, (enum session_fd)(SESSION_FUSE + i), fds[i], e);
	return rc;
}

/* ---- the mount ---- */

static int session_map(struct session *s, struct err *e)
{
	int fd = fcntl(SESSION_JOURNAL, F_DUPFD_CLOEXEC, SESSION_FD_END);

	return fd < 0 ? err_sys(e, errno, "journal") : journal_open(fd, &s->journal, e);
}

static int session_inherit(struct session *s, struct err *e)
{
	if (!*session_has(s, SESSION_FUSE))
		return err_set(e, -ENXIO, "its descriptor was not handed over");
	if (!*session_has(s, SESSION_JOURNAL))
		return err_set(e, -ENXIO, "its journal was not handed over");
	if (!mount_alive(SESSION_FUSE))
		return err_set(e, -ENXIO, "it was unmounted");
	if (session_map(s, e) < 0)
		return e->code;
	s->inherited = s->journal->page->opening_len > 0;
	return 0;
}

static int session_mount(struct session *s, const char *mountpoint, const char *options,
			 struct err *e)
{
	int fd, rc;

	rc = journal_new(&fd, e);
	if (rc == 0)
		rc = session_put(s, SESSION_JOURNAL, fd, e);
	if (rc == 0)
		rc = session_map(s, e);
	if (rc == 0)
		rc = mount_new(mountpoint, options, &fd, e);
	if (rc == 0)
		rc = session_put(s, SESSION_FUSE, fd, e);
	return rc;
}

int session_open(struct session *s, const char *mountpoint, const char *options, struct err *e)
{
	struct err why = { 0 };

	if (!s->have[0] && !s->have[1])
		return session_mount(s, mountpoint, options, e);
	if (session_inherit(s, &why) == 0)
		return 0;
	log_line(LOG_LEVEL_ERROR, "cannot go on with the mount that was there: %s", why.text);
	if (*session_has(s, SESSION_FUSE))
		mount_end(mountpoint, SESSION_FUSE);
	for (int which = SESSION_FUSE; which < SESSION_FD_END; which++)
		session_drop(s, (enum session_fd)which);
	return session_mount(s, mountpoint, options, e);
}

int session_luggage(struct session *s, struct text *out, struct err *e)
{
	struct stat st = { 0 };
	char *room;

	if (!*session_has(s, SESSION_LUGGAGE))
		return err_set(e, -ENOENT, "no luggage");
	room = fstat(SESSION_LUGGAGE, &st) < 0 ? NULL : text_room(out, (size_t)st.st_size);
	if (!room || pread(SESSION_LUGGAGE, room, (size_t)st.st_size, 0) != st.st_size)
		err_sys(e, room ? EIO : ENOMEM, "luggage");
	else
		out->len += (size_t)st.st_size;
	session_drop(s, SESSION_LUGGAGE);
	return e->code;
}

/* ---- keeping ---- */

static void keep(enum session_fd which)
{
	int fd = (int)which, rc;
	char state[64];

	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", names[which - SESSION_FUSE]);
	rc = notify_send(state, &fd, 1);
	if (rc < 0)
		log_line(LOG_LEVEL_ERROR, "the mount's %s cannot be kept: %s",
			 names[which - SESSION_FUSE], strerror(-rc));
}

void session_keep(const struct session *s)
{
	keep(SESSION_FUSE);
	keep(SESSION_JOURNAL);
}

void session_end(struct session *s, const char *mountpoint)
{
	if (*session_has(s, SESSION_FUSE))
		mount_end(mountpoint, SESSION_FUSE);
	notify_send("FDSTOREREMOVE=1\nFDNAME=fuse", NULL, 0);
	notify_send("FDSTOREREMOVE=1\nFDNAME=journal", NULL, 0);
}

/* ---- handing over ---- */

static void session_inheritable(bool yes)
{
	for (int fd = SESSION_FUSE; fd < SESSION_FD_END; fd++)
		fcntl(fd, F_SETFD, yes ? 0 : FD_CLOEXEC);
}

int session_leave(const struct session *s, const char *exe, char *const *argv, struct err *e)
{
	char pid[24], n[8];

	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(n, sizeof(n), "%d", SESSION_FDS);
	if (setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", n, 1) == 0 &&
	    setenv("LISTEN_FDNAMES", "fuse:journal:luggage", 1) == 0) {
		session_inheritable(true);
		execv(exe, argv);
	}
	err_sys(e, errno, "%s", exe);
	session_inheritable(false);
	return e->code;
}

void session_close(struct session *s)
{
	journal_free(s->journal);
	s->journal = NULL;
	for (int fd = SESSION_FUSE; fd < SESSION_FD_END; fd++)
		close(fd);
}
