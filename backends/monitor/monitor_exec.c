/* The monitor's sessions: see monitor_priv.h and wire_exec.h. */
#include <errno.h>
#include <signal.h>

#include "backends/monitor/monitor_priv.h"
#include "backends/monitor/wire_exec.h"

/* ---- what the engine tells ---- */

/* Who asks, and his number: a daemon that comes meanwhile uses the same numbers. */
static uint64_t exec_token(const struct monitor *m)
{
	return (uint64_t)m->connections << 32 | m->message->header.seq;
}

static uint32_t token_seq(const struct monitor *m, uint64_t token)
{
	return token >> 32 == m->connections ? (uint32_t)token : 0;
}

static void exec_state(struct engine_host *host, const struct exec_state *x)
{
	struct wire_exec_state s = { .id = x->id, .state.run = RUN_ENDED };
	struct monitor *m = host_monitor(host);

	if (x->running)
		s.state = (struct wire_state){ .run = RUN_RUNNING, .pid = x->pid };
	else
		wire_ending_from(&s.state.ending, &x->ending);
	monitor_say(m, WIRE_EXEC_STATE, token_seq(m, x->token), &s, sizeof(s), NULL, 0);
}

static void exec_grew(struct engine_host *host, uint64_t id, unsigned streams)
{
	struct wire_exec_grew g = { .id = id, .streams = streams };

	monitor_say(host_monitor(host), WIRE_EXEC_GREW, 0, &g, sizeof(g), NULL, 0);
}

static void exec_answer(struct engine_host *host, uint64_t token, int code, const struct err *e)
{
	struct monitor *m = host_monitor(host);
	uint32_t seq = token_seq(m, token);

	if (seq)
		monitor_reply(m, seq, code, e);
}

const struct exec_listener monitor_exec_listener = { exec_state, exec_grew, exec_answer };

/* ---- what the daemon asks ---- */

/* Frozen it would not come as far as its program. */
static int exec_check(const struct monitor *m, struct err *e)
{
	if (!m->self || !m->engine->exec)
		return err_set(e, -ENXIO, "ctl: this machine has no sessions");
	if (m->run == RUN_OUTSIDE)
		return monitor_refuse_outside(e);
	return m->run == RUN_PAUSED ? err_set(e, -EBUSY, "ctl: the container is paused") : 0;
}

void monitor_handle_exec_start(struct monitor *m)
{
	struct err e = { 0 };
	struct exec_spec s;
	int rc = exec_check(m, &e);

	if (rc == 0)
		rc = wire_exec_unpack(m->message, &s, &e);
	if (rc == 0) {
		rc = m->engine->exec->start(m->self, &s, exec_token(m), &e);
		wire_exec_free(&s);
	}
	if (rc < 0)
		monitor_reply(m, m->message->header.seq, rc, &e);
}

void monitor_handle_exec_input(struct monitor *m)
{
	const struct wire_exec_id *w = (const struct wire_exec_id *)m->message->body;
	struct err e = { 0 };
	int rc = m->self && m->engine->exec
			 ? m->engine->exec->input(m->self, w->id, w + 1, m->message->extra,
						  exec_token(m), &e)
			 : err_set(&e, -ENXIO, "stdin: this machine has no sessions");

	if (rc < 0)
		monitor_reply(m, m->message->header.seq, rc, &e);
}

void monitor_handle_exec_signal(struct monitor *m)
{
	const struct wire_exec_signal *w = (const struct wire_exec_signal *)m->message->body;
	struct err e = { 0 };
	int rc;

	if (!m->self || !m->engine->exec)
		rc = err_set(&e, -ENXIO, "ctl: this machine has no sessions");
	else if (w->signo < 1 || w->signo > SIGRTMAX)
		rc = err_set(&e, -EINVAL, "ctl: there is no signal %lld", (long long)w->signo);
	else
		rc = m->engine->exec->signal(m->self, w->id, (int)w->signo, &e);
	monitor_reply(m, m->message->header.seq, rc, &e);
}
