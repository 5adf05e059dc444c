/* Verbs of machines: see verb.h. */
#include "fs/machine/verb.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "backends/host/opener.h"
#include "backends/monitor/wire.h"
#include "fs/daemon.h"
#include "fs/machine/ctl_lines.h"
#include "fs/machine/launch.h"
#include "fs/machine/link.h"

#define STOP_SECONDS 10

#define IN(state) (1u << STATE_##state)
#define IN_ACTIVE (IN(RUNNING) | IN(PAUSED) | IN(STOPPING))
#define OF(kind)  (1u << KIND_##kind)
#define OF_BOTH	  (OF(VM) | OF(CONTAINER))

#define IN_REST (IN(STOPPED) | IN(FAILED))
#define IN_HELD (IN(PREPARING) | IN(PREPARED))

enum verb_argument { ARGUMENT_NONE, ARGUMENT_SECONDS, ARGUMENT_SIGNAL, ARGUMENT_HOLD };

struct verb {
	const char *name;
	unsigned states; /* where it is valid */
	unsigned kinds;
	enum verb_argument argument;
	enum wire_verb_code code; /* VERB_RELEASE: one at rest needs a monitor made first */
};

static const struct verb verbs[] = {
	{ "start", IN_REST | IN_HELD, OF_BOTH, ARGUMENT_NONE, VERB_RELEASE },
	{ "prepare", IN_REST | IN(PREPARING), OF(CONTAINER), ARGUMENT_HOLD, VERB_RELEASE },
	{ "stop", IN_ACTIVE | IN_HELD, OF_BOTH, ARGUMENT_SECONDS, VERB_STOP },
	{ "kill", IN_ACTIVE | IN_HELD, OF_BOTH, ARGUMENT_NONE, VERB_KILL },
	{ "pause", IN(RUNNING), OF_BOTH, ARGUMENT_NONE, VERB_PAUSE },
	{ "resume", IN(PAUSED) | IN_HELD, OF_BOTH, ARGUMENT_NONE, VERB_RESUME },
	{ "reset", IN_ACTIVE, OF(VM), ARGUMENT_NONE, VERB_RESET },
	{ "dump", IN_ACTIVE, OF(VM), ARGUMENT_NONE, VERB_DUMP },
	{ "signal", IN_ACTIVE, OF(CONTAINER), ARGUMENT_SIGNAL, VERB_SIGNAL },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* Ends the machine for good: it is not started again by itself. */
static bool verb_ends(const struct verb *v)
{
	return v->code == VERB_STOP || v->code == VERB_KILL;
}

static bool verb_starts(const struct verb *v)
{
	return v->code == VERB_RELEASE;
}

static bool verb_valid(const struct machine *m, const struct verb *v)
{
	if (restart_waits(m) && verb_ends(v))
		return true;
	if (verb_starts(v) && ephemeral_goes(m))
		return false;
	return v->states & 1u << m->state;
}

void ctl_show(struct object *o, const struct file *f, struct text *out)
{
	struct machine *m = object_machine(o);

	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verbs[i].kinds & 1u << m->kind && verb_valid(m, &verbs[i]))
			text_addf(out, "%s\n", verbs[i].name);
}

static int argument_parse(const struct verb *v, const char *text, int64_t *ret, struct err *e)
{
	char *end;
	int signo;

	*ret = v->argument == ARGUMENT_SECONDS ? STOP_SECONDS
	       : v->argument == ARGUMENT_HOLD  ? HOLD_INSIDE
					       : 0;
	if (!*text)
		return v->argument == ARGUMENT_SIGNAL
			       ? err_set(e, -EINVAL, "ctl: signal: which one?")
			       : 0;
	switch (v->argument) {
	case ARGUMENT_SECONDS:
		*ret = strtol(text, &end, 10);
		if (isdigit((unsigned char)*text) && !*end && *ret <= 86400)
			return 0;
		return err_set(e, -EINVAL, "ctl: %s: \"%.64s\" is not a number of seconds", v->name,
			       text);
	case ARGUMENT_SIGNAL:
		signo = signal_number(text);
		*ret = signo;
		return signo > 0 ? 0
				 : err_set(e, -EINVAL, "ctl: there is no signal \"%.64s\"", text);
	case ARGUMENT_HOLD:
		*ret = HOLD_OUTSIDE;
		return !strcmp(text, "outside")
			       ? 0
			       : err_set(e, -EINVAL, "ctl: %s: \"%.64s\" is not outside", v->name,
					 text);
	default:
		return err_set(e, -EINVAL, "ctl: %s takes no argument", v->name);
	}
}

static const struct verb *verb_find(const char *name, enum machine_kind kind)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i].name, name) && verbs[i].kinds & 1u << kind)
			return &verbs[i];
	return NULL;
}

static int verb_wrong_state(const struct machine *m, const struct verb *v, struct err *e)
{
	/* What was asked for is so already. */
	bool already = (verb_starts(v) && machine_active(m)) ||
		       (v->code == VERB_PAUSE && m->state == STATE_PAUSED) ||
		       (v->code == VERB_RESUME && m->state == STATE_RUNNING);

	return err_set(e, already ? -EEXIST : -EBUSY, "ctl: %s: the machine is %s", v->name,
		       state_words[m->state]);
}

/* The file is opened here, as the owner, whoever may write to ctl. */
static int verb_dump(struct machine *m, struct request *r, struct err *e)
{
	struct hostpath p = {
		.path = m->config.vm.dump_path,
		.kind = HOSTPATH_DISK,
		.what = "dump.path",
		.uid = m->object.owner.uid,
		.gid = m->object.owner.gid,
		.avoid = m->object.daemon->own_dev,
	};
	int fd = -1, rc;

	if (!*p.path)
		return err_set(e, -EINVAL, "dump.path: not set");
	rc = opener_open(m->object.daemon->opener, &p, &fd, e);
	if (rc == 0)
		rc = link_dump(m->link, r, fd, e);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* One line. */
static int verb_run(struct object *o, struct request *r, const char *line, struct err *e)
{
	struct machine *m = object_machine(o);
	const char *text = strchr(line, ' ');
	const struct verb *v;
	int64_t argument;
	char name[32];
	bool told;
	int rc;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, " "), line);
	v = verb_find(name, m->kind);
	if (!v)
		return err_set(e, -EINVAL, "ctl: \"%.64s\" is not a verb; `cat ctl` lists them",
			       line);
	rc = argument_parse(v, text ? text + strspn(text, " ") : "", &argument, e);
	if (rc < 0)
		return rc;
	if (verb_ends(v) && restart_waits(m)) {
		restart_call_off(m);
		return 0;
	}
	if (!(v->states & 1u << m->state))
		return verb_wrong_state(m, v, e);
	if (verb_starts(v) && !machine_active(m))
		return launch_machine(m, (enum engine_hold)argument, r, e);
	if (!m->link)
		return err_set(e, -ENXIO, "ctl: %s: the monitor is gone", v->name);
	if (v->code == VERB_DUMP)
		return verb_dump(m, r, e);
	if (v->code == VERB_RESUME && machine_held(m)) // as start, but never one anew
		return link_verb(m->link, r, VERB_RELEASE, HOLD_NONE, e);
	if (!verb_ends(v))
		return link_verb(m->link, r, v->code, argument, e);
	/* Before: whoever sees the end shall know. */
	told = m->restart.told;
	restart_told(m, true);
	rc = link_verb(m->link, r, v->code, argument, e);
	if (rc < 0)
		restart_told(m, told);
	return rc;
}

int ctl_write(struct handle *h, struct request *r, const char *data, size_t len, struct err *e)
{
	return ctl_lines_begin(h, r, data, len, verb_run, e);
}

void ctl_continue(struct request *r, int rc, const struct err *e)
{
	ctl_lines_go_on(r, rc, e, verb_run);
}
