/* The last step of a process on its way into its program: see child.h. */
#include "backends/container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/container/label.h"

/* "init: WORDS PATH", the name being the setting's that says what to execute. */
static _Noreturn void refuse_exec(struct child *c, int errnum, const char *words, const char *path)
{
	char what[128] = "";

	child_append(what, sizeof(what), c->plan->names->command);
	child_append(what, sizeof(what), words);
	child_refuse(c, errnum, what, path);
}

/* The mode lets it, so the label does not. */
static const char *label_forbids(const struct child *c, const char *path)
{
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? label_of_programs(c->plan->config)
								: NULL;
}

/* Why could path not be executed? A file that is there answers ENOENT when its loader is not. */
static _Noreturn void explain_exec(struct child *c, const char *path, int errnum)
{
	const char *label;
	char what[96] = "";
	struct stat st;

	if (errnum == ENOENT && stat(path, &st) == 0)
		refuse_exec(c, ENOENT,
			    ": the interpreter or loader that it needs is missing: ", path);
	if (errnum == ENOENT || errnum == ENOTDIR)
		refuse_exec(c, ENOENT, ": not in the root directory: ", path);
	label = errnum == EACCES ? label_forbids(c, path) : NULL;
	if (label) {
		child_append(what, sizeof(what), label);
		child_append(what, sizeof(what),
			     ": not to be executed under it, by the host's policy: ");
		child_refuse(c, EACCES, what, path);
	}
	if (errnum == EACCES)
		refuse_exec(c, EACCES, ": not executable: ", path);
	if (errnum == ENOEXEC)
		refuse_exec(c, EINVAL, ": neither a program of this machine nor a script: ", path);
	child_append(what, sizeof(what), c->plan->names->command);
	child_append(what, sizeof(what), ": ");
	child_fail(c, errnum, what, path);
}

/* Like execvp(3): the next directory's turn when there is nothing; what was in the way counts. */
_Noreturn void child_execute(struct child *c)
{
	char *const *paths = c->plan->paths;
	const char *worst = c->plan->argv[0];
	int errnum = ENOENT;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (c->plan->config->no_new_privs)
		child_install_filter(c);
	for (; *paths; paths++) {
		execve(*paths, c->plan->argv, c->plan->env);
		if (errno == ENOENT || errno == ENOTDIR) {
			struct stat st;

			if (stat(*paths, &st) < 0)
				continue;
		}
		worst = *paths;
		errnum = errno == ENOTDIR ? ENOENT : errno;
		if (errnum != EACCES)
			break;
	}
	explain_exec(c, worst, errnum);
}
