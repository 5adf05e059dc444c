/* What a container's process asks of quotactl(2), and whether it may: see quotacall.h. */
#include "backends/container/quotacall.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

const struct sock_fprog *quotacall_filter(void)
{
	/* x32's number has a bit more, and i386's is another's: these take their usual way. */
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_quotactl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_fprog program = { sizeof(code) / sizeof(code[0]),
						   (struct sock_filter *)code };

	return &program;
}

/* ---- what is asked ---- */

/* Whom it is granted to, beside root. */
enum others { NOBODY, ANYBODY, ITSELF };

static const struct rule {
	unsigned op;
	size_t size;
	bool reads, writes, has_id;
	enum others others;
} rules[] = {
	{ Q_SYNC, 0, false, false, false, NOBODY },
	{ Q_GETFMT, sizeof(uint32_t), false, true, false, ANYBODY },
	{ Q_GETINFO, sizeof(struct if_dqinfo), false, true, false, ANYBODY },
	{ Q_SETINFO, sizeof(struct if_dqinfo), true, false, false, NOBODY },
	{ Q_GETQUOTA, sizeof(struct if_dqblk), false, true, true, ITSELF },
	{ Q_GETNEXTQUOTA, sizeof(struct if_nextdqblk), false, true, true, NOBODY },
	{ Q_SETQUOTA, sizeof(struct if_dqblk), true, false, true, NOBODY },
};

static const struct rule *rule_of(unsigned op)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].op == op)
			return &rules[i];
	return NULL;
}

int quotacall_decode(const uint64_t args[4], struct quotacall *ret)
{
	uint32_t command = (uint32_t)args[0]; /* the kernel looks at no more of it */
	const struct rule *rule = rule_of(command >> SUBCMDSHIFT);
	unsigned type = command & SUBCMDMASK;

	if (!rule)
		return -EPERM;
	if (type == PRJQUOTA)
		return -ESRCH;
	if (type != USRQUOTA && type != GRPQUOTA)
		return -EINVAL;
	*ret = (struct quotacall){
		.op = rule->op,
		.type = type,
		.id = (uint32_t)args[2],
		.special = args[1],
		.data = args[3],
		.size = rule->size,
		.reads = rule->reads,
		.writes = rule->writes,
		.has_id = rule->has_id,
	};
	return 0;
}

int quotacall_check(const struct quotacall *c, const union quotacall_data *data)
{
	if (c->op == Q_SETQUOTA && data->block.dqb_valid & ~(uint32_t)(QIF_LIMITS | QIF_TIMES))
		return -EPERM;
	if (c->op == Q_SETINFO && data->info.dqi_valid & ~(uint32_t)(IIF_BGRACE | IIF_IGRACE))
		return -EPERM;
	return 0;
}

/* ---- whose ids are whose ---- */

static int by_inside(const void *a, const void *b)
{
	const struct quota_id_range *one = a, *other = b;

	return (one->inside > other->inside) - (one->inside < other->inside);
}

int quota_ids_init(struct quota_ids *ids, const char *map, bool disk_inside)
{
	size_t lines = 1;

	for (const char *at = map; at && *at; at++)
		lines += *at == '\n';
	*ids = (struct quota_ids){ calloc(lines, sizeof(*ids->list)), 0, disk_inside };
	if (!ids->list)
		return -ENOMEM;
	if (!map)
		ids->list[ids->n++] = (struct quota_id_range){ 0, 0, UINT32_MAX };
	for (; map && *map; map += strcspn(map, "\n"), map += *map == '\n') {
		struct quota_id_range *r = &ids->list[ids->n++];

		if (sscanf(map, "%u %u %u", &r->inside, &r->outside, &r->count) != 3 || !r->count ||
		    r->count > UINT32_MAX - r->inside || r->count > UINT32_MAX - r->outside) {
			quota_ids_free(ids);
			return -EINVAL;
		}
	}
	qsort(ids->list, ids->n, sizeof(*ids->list), by_inside);
	return 0;
}

void quota_ids_free(struct quota_ids *ids)
{
	free(ids->list);
	*ids = (struct quota_ids){ 0 };
}

/* The range that has the id, or else the first behind it. */
static const struct quota_id_range *range_from(const struct quota_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (id < ids->list[i].inside || id - ids->list[i].inside < ids->list[i].count)
			return &ids->list[i];
	return NULL;
}

bool quota_ids_outside(const struct quota_ids *ids, uint32_t inside, uint32_t *ret)
{
	const struct quota_id_range *r = range_from(ids, inside);

	if (!r || inside < r->inside)
		return false;
	*ret = r->outside + (inside - r->inside);
	return true;
}

bool quota_ids_next(const struct quota_ids *ids, uint32_t from, uint32_t *ret_inside,
		    uint32_t *ret_disk, uint32_t *ret_count)
{
	const struct quota_id_range *r = range_from(ids, from);
	uint32_t inside;

	if (!r)
		return false;
	inside = from > r->inside ? from : r->inside;
	*ret_inside = inside;
	*ret_disk = ids->disk_inside ? inside : r->outside + (inside - r->inside);
	*ret_count = r->count - (inside - r->inside);
	return true;
}

/* ---- who asks ---- */

/* What stands behind the name at the beginning of a line, which has an end. */
static const char *line_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (!strncmp(text, name, len) && strchr(text, '\n'))
			return text + len;
	return NULL;
}

bool quota_caller_parse(const char *status, struct quota_caller *ret)
{
	const char *uids = line_of(status, "Uid:"), *gids = line_of(status, "Gid:"),
		   *groups = line_of(status, "Groups:"), *caps = line_of(status, "CapEff:");
	struct quota_caller c = { .groups = groups };
	char *end;

	if (!uids || !gids || !groups || !caps || sscanf(uids, "%*u %u", &c.uid) != 1 ||
	    sscanf(gids, "%*u %u", &c.gid) != 1)
		return false;
	c.capabilities = strtoull(caps, &end, 16);
	*ret = c;
	return *end == '\n';
}

static bool has_group(const struct quota_caller *who, uint32_t gid)
{
	const char *at = who->groups;

	if (who->gid == gid)
		return true;
	for (;;) {
		char *end;
		unsigned long n;

		at += strspn(at, " \t");
		n = strtoul(at, &end, 10);
		if (end == at)
			return false;
		if (n == gid)
			return true;
		at = end;
	}
}

static bool is_root(const struct quota_caller *who, const struct quota_ids *users,
		    uint64_t capabilities)
{
	uint32_t root;

	return quota_ids_outside(users, 0, &root) && who->uid == root &&
	       (who->capabilities & capabilities) == capabilities;
}

int quotacall_grant(const struct quotacall *c, const struct quota_caller *who,
		    const struct quota_ids ids[2], uint64_t capabilities)
{
	enum others others = rule_of(c->op)->others;
	uint32_t own;

	if (others == ANYBODY || (who->at_home && is_root(who, &ids[USRQUOTA], capabilities)))
		return 0;
	if (others != ITSELF || !who->at_home || !quota_ids_outside(&ids[c->type], c->id, &own))
		return -EPERM;
	if (c->type == USRQUOTA ? who->uid == own : has_group(who, own))
		return 0;
	return -EPERM;
}
