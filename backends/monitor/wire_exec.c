/* A session's start on the wire: see wire_exec.h. */
#include "backends/monitor/wire_exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(struct text *t, const char *s)
{
	text_add_bytes(t, s ? s : "", s ? strlen(s) + 1 : 1);
}

int wire_exec_pack(const struct exec_spec *s, struct wire_exec *body, struct text *texts,
		   struct err *e)
{
	*body = (struct wire_exec){
		.id = s->id,
		.uid = s->user.uid,
		.gid = s->user.gid,
		.tty = s->tty,
		.nenv = (uint32_t)s->env.n,
		.ngroups = s->user.ngroups,
	};
	memcpy(body->groups, s->user.groups, sizeof(body->groups));
	for (int i = 0; i < 3; i++)
		body->streams |= s->stdio[i] >= 0 ? 1u << i : 0;
	add(texts, s->argv);
	add(texts, s->cwd);
	for (size_t i = 0; i < s->env.n; i++) {
		add(texts, s->env.entries[i].key);
		add(texts, s->env.entries[i].value);
	}
	if (text_failed(texts))
		return err_sys(e, ENOMEM, "ctl: start");
	if (texts->len > WIRE_CONFIG_MAX || s->env.n > WIRE_ENV_MAX)
		return err_set(e, -EINVAL, "ctl: start: argv and env are larger than %u bytes",
			       WIRE_CONFIG_MAX);
	return 0;
}

/* The next text of what is left, or NULL. */
static char *take(char **at, const char *end)
{
	char *text = *at, *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;

	if (nul)
		*at = nul + 1;
	return nul ? text : NULL;
}

static bool unpack_texts(struct wire_message *m, struct exec_spec *s)
{
	char *at = m->body + sizeof(struct wire_exec), *end = at + m->extra;

	s->argv = take(&at, end);
	s->cwd = take(&at, end);
	for (size_t i = 0; i < s->env.n; i++) {
		s->env.entries[i].key = take(&at, end);
		s->env.entries[i].value = take(&at, end);
		/* The name ends at the first "=". */
		if (!s->env.entries[i].value || strchr(s->env.entries[i].key, '='))
			return false;
	}
	return s->argv && s->cwd && at == end;
}

int wire_exec_unpack(struct wire_message *m, struct exec_spec *ret, struct err *e)
{
	const struct wire_exec *body = (const struct wire_exec *)m->body;
	struct exec_spec s = { .id = body->id,
			       .user = { body->uid, body->gid, body->ngroups },
			       .tty = body->tty != 0 };

	int taken = EXEC_FD_COUNT + __builtin_popcount(body->streams & 7);

	if (m->nfds < taken || m->nfds > taken + EXEC_GROUPS_MAX || body->nenv > WIRE_ENV_MAX ||
	    body->ngroups > INIT_GROUPS_MAX)
		return err_set(e, -EINVAL, "ctl: start: a broken message");
	s.env.n = body->nenv;
	s.env.entries = calloc(s.env.n + 1, sizeof(*s.env.entries));
	if (!s.env.entries)
		return err_sys(e, ENOMEM, "ctl: start");
	if (!unpack_texts(m, &s)) {
		free(s.env.entries);
		return err_set(e, -EINVAL, "ctl: start: a broken message");
	}
	memcpy(s.user.groups, body->groups, sizeof(s.user.groups));
	memcpy(s.fd, m->fds, sizeof(s.fd));
	taken = EXEC_FD_COUNT;
	for (int i = 0; i < 3; i++)
		s.stdio[i] = body->streams >> i & 1 ? m->fds[taken++] : -1;
	s.ngroups = (unsigned)(m->nfds - taken);
	memcpy(s.groups, m->fds + taken, s.ngroups * sizeof(int));
	m->nfds = 0;
	*ret = s;
	return 0;
}

void wire_exec_free(struct exec_spec *s)
{
	free(s->env.entries);
	for (int i = 0; i < EXEC_FD_COUNT; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0)
			close(s->stdio[i]);
	for (unsigned i = 0; i < s->ngroups; i++)
		close(s->groups[i]);
}
