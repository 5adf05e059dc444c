/* struct net: making, naming, keeping, finding again; see net.h. */
#include "fs/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/netdev.h"
#include "backends/net/netlink.h"
#include "fs/attr/rows.h"
#include "fs/daemon.h"
#include "fs/machine/machine.h"
#include "fs/store/event_log.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

/* ---- the bridge ---- */

static struct netswitch switch_of(const struct net *n, const struct net_settings *s)
{
	return (struct netswitch){
		.bridge = n->bridge,
		.uuid = n->identity.uuid,
		.address = &s->address,
		.mtu = (uint32_t)s->mtu,
		.uplink = s->uplink ? s->uplink : "",
		.nat = s->nat,
	};
}

/* now NULL: it may not be there. */
static int bridge_set(const struct net *n, const struct net_settings *now,
		      const struct net_settings *next, struct err *e)
{
	struct netswitch is = now ? switch_of(n, now) : (struct netswitch){ 0 };
	struct netswitch wanted = switch_of(n, next);
	struct nl_sock *nl;
	int rc = netlink_open(-1, &nl, e);

	if (rc < 0)
		return rc;
	rc = netswitch_set(nl, now ? &is : NULL, &wanted, e);
	netlink_close(nl);
	return rc;
}

static int bridge_remove(const struct net *n, struct err *e)
{
	struct netswitch is = switch_of(n, &n->settings);
	struct nl_sock *nl;
	int rc = netlink_open(-1, &nl, e);

	if (rc < 0)
		return rc;
	rc = netswitch_remove(nl, &is, e);
	netlink_close(nl);
	return rc;
}

/* ---- what is durable ---- */

static int net_dir(const struct net *n)
{
	int fd = openat(n->object.daemon->net_fd, n->object.name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static void settings_print(const struct net_settings *s, struct text *out)
{
	rows_print(&net_schema, s, out);
	text_add(out, "end\n");
}

static int settings_save(const struct net *n, const struct net_settings *s, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc;

	settings_print(s, &text);
	rc = kept_write(net_dir(n), "net", &text, e);
	text_free(&text);
	return rc;
}

static int settings_read(struct net *n, int dir, struct err *e)
{
	struct text text = TEXT_INIT;
	const char *p;
	int rc = store_read(dir, "net", &text);

	if (rc < 0)
		err_sys(e, -rc, "net on disk");
	p = text_str(&text);
	if (rc == 0 && (text.len < 4 || strcmp(p + text.len - 4, "end\n")))
		rc = err_set(e, -EIO, "net on disk: its end is missing");
	for (; rc == 0 && strcmp(p, "end\n"); p += strcspn(p, "\n") + 1) {
		rc = rows_read(&net_schema, &n->settings, p, strcspn(p, "\n"), e);
		rc = rc < 0 ? err_prefix(e, "net ") : 0;
	}
	text_free(&text);
	return rc;
}

/* ---- making and removing ---- */

void net_free(struct object *o)
{
	struct net *n = object_net(o);

	event_log_free(n->object.events);
	schema_free(&net_schema, &n->settings);
	identity_free(&n->identity);
	free(n);
}

static struct net *net_new(struct err *e)
{
	struct net *n = calloc(1, sizeof(*n));

	if (n && schema_init(&net_schema, &n->settings, e) == 0)
		return n;
	free(n);
	return NULL;
}

static int net_insert(struct net *n, struct daemon *d, uint64_t id, const char *name, struct err *e)
{
	n->object.identity = &n->identity;
	n->object.events = event_log_of(d->events, id);
	if (!n->object.events)
		return err_sys(e, ENOMEM, "%s", name);
	return object_init(&n->object, d, &d->classes[CLASS_NET], d->nets, id, name, e);
}

static int net_store(struct net *n, struct err *e)
{
	struct text meta = TEXT_INIT, text = TEXT_INIT;
	int fd = -1, rc = 0;

	meta_print(&n->object, &n->identity, &meta);
	settings_print(&n->settings, &text);
	if (text_failed(&meta) || text_failed(&text))
		rc = err_sys(e, ENOMEM, "meta");
	if (rc == 0)
		rc = store_make(n->object.daemon->net_fd, n->object.name, &meta, "net", &text, &fd,
				e);
	if (fd >= 0)
		close(fd);
	text_free(&meta);
	text_free(&text);
	return rc;
}

static int net_make(struct net *n, struct err *e)
{
	int rc = bridge_set(n, NULL, &n->settings, e);

	if (rc == 0) {
		rc = net_store(n, e);
		if (rc < 0)
			bridge_remove(n, NULL);
	}
	return rc;
}

int net_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
	      struct object **ret, struct err *e)
{
	struct daemon *d = parent->daemon;
	struct net *n = net_new(e);
	uint64_t id = n ? daemon_new_id(d, e) : 0;
	int rc;

	if (!n)
		return err_sys(e, ENOMEM, "%s", name);
	identity_make(&n->identity);
	netswitch_name(n->identity.uuid, n->bridge);
	rc = id ? net_insert(n, d, id, name, e) : e->code;
	if (rc < 0) {
		net_free(&n->object);
		return rc;
	}
	n->object.owner = (struct owner){ who.uid, who.gid, mode & 01777 };
	rc = net_make(n, e);
	if (rc < 0) {
		object_remove(&n->object);
		return rc;
	}
	kept_event(&n->object, "created", "");
	*ret = &n->object;
	return 0;
}

static int check_unused(const struct net *n, struct err *e)
{
	struct text ports = TEXT_INIT;
	int rc = 0;

	net_ports(n, &ports);
	if (ports.len)
		rc = err_set(e, -EBUSY, "%s has the port %.*s", n->object.name,
			     (int)strcspn(text_str(&ports), " "), text_str(&ports));
	text_free(&ports);
	return rc;
}

/* What cannot be removed of it now is swept at the next start. */
static int state_remove(const struct net *n, struct err *e)
{
	int net_fd = n->object.daemon->net_fd, rc;
	char hidden[40], path[60];

	snprintf(hidden, sizeof(hidden), STORE_REMOVED "%s", n->identity.uuid);
	rc = store_hide(net_fd, n->object.name, hidden, e);
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s/net", hidden);
	unlinkat(net_fd, path, 0);
	snprintf(path, sizeof(path), "%s/meta", hidden);
	unlinkat(net_fd, path, 0);
	unlinkat(net_fd, hidden, AT_REMOVEDIR);
	return 0;
}

int net_rmdir(struct object *o, struct caller who, struct err *e)
{
	struct net *n = object_net(o);
	int rc = check_unused(n, e);

	if (rc == 0)
		rc = bridge_remove(n, e);
	if (rc < 0)
		return rc;
	rc = state_remove(n, e);
	if (rc < 0) {
		bridge_set(n, NULL, &n->settings, NULL);
		return rc;
	}
	kept_event(o, "removed", "");
	object_remove(o);
	return 0;
}

int net_rename(struct object *o, const char *name, struct err *e)
{
	struct net *n = object_net(o);
	struct text old = TEXT_INIT;
	int rc = check_unused(n, e);

	if (rc == 0)
		rc = kept_rename(o, o->daemon->net_fd, name, &old, e);
	if (rc == 0)
		kept_event(o, "renamed", text_str(&old));
	text_free(&old);
	return rc;
}

int net_chown(struct object *o, struct err *e)
{
	return kept_save_meta(o, net_dir(object_net(o)), e);
}

/* ---- finding again ---- */

int net_load(struct daemon *d, const char *name, bool anew, struct err *e)
{
	struct text text = TEXT_INIT;
	struct meta meta = { 0 };
	struct net *n = net_new(e);
	int dir = openat(d->net_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), rc;

	if (!n) {
		if (dir >= 0)
			close(dir);
		return err_sys(e, ENOMEM, "%s", name);
	}
	rc = kept_read_meta(d, dir < 0 ? -errno : dir, &text, &meta, &n->broken);
	if (rc < 0)
		meta = (struct meta){ .owner.mode = 0700, .id = anew ? daemon_new_id(d, e) : 0 };
	identity_make(&n->identity);
	if (rc < 0 && !anew)
		rc = 1;
	else
		rc = meta.id ? net_insert(n, d, meta.id, name, e) : e->code;
	if (rc == 0) {
		kept_adopt_meta(&n->object, &n->identity, &meta);
		netswitch_name(n->identity.uuid, n->bridge);
		if (!n->broken.code)
			settings_read(n, dir, &n->broken);
	} else {
		net_free(&n->object);
	}
	text_free(&text);
	if (dir >= 0)
		close(dir);
	return rc;
}

void net_recover(struct net *n)
{
	if (!n->broken.code)
		bridge_set(n, NULL, &n->settings, &n->broken);
	if (n->broken.code)
		object_refuse(&n->object, &n->broken);
}

/* ---- settings ---- */

/* The host's network is root's: whoever owns the switch. */
static int check_authority(const struct net *n, const struct net_settings *next, struct caller who,
			   struct err *e)
{
	static const char *const of_root[] = { "address", "uplink", "nat" };

	for (size_t i = 0; who.uid != 0 && i < sizeof(of_root) / sizeof(of_root[0]); i++)
		if (!attr_equal(schema_find(&net_schema, of_root[i]), &n->settings, next))
			return err_set(e, -EPERM, "%s: only root may set how the host's network is",
				       of_root[i]);
	return 0;
}

static void settings_tell(struct net *n, const struct net_settings *next)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(&net_schema, i)); i++)
		if (!attr_equal(a, &n->settings, next))
			object_changed(&n->object, a->name);
}

int net_configure(struct net *n, struct net_settings *next, struct caller who, struct err *e)
{
	int rc = check_authority(n, next, who, e);

	if (rc == 0)
		rc = bridge_set(n, n->broken.code ? NULL : &n->settings, next, e);
	if (rc < 0)
		return rc;
	rc = settings_save(n, next, e);
	if (rc < 0) {
		bridge_set(n, next, &n->settings, NULL);
		return rc;
	}
	settings_tell(n, next);
	schema_free(&net_schema, &n->settings);
	n->settings = *next;
	n->broken = (struct err){ 0 };
	return 0;
}

/* ---- for machines ---- */

void net_ports(const struct net *n, struct text *out)
{
	const struct daemon *d = n->object.daemon;
	char host[IFNAMSIZ];

	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++) {
			const struct machine *m = object_machine(d->machines[kind]->children[i]);
			const struct parts *nics = &m->config.parts[PART_NIC];

			for (size_t k = 0; k < nics->n; k++) {
				if (strcmp(nics->list[k].nic.net, n->object.name) != 0)
					continue;
				netdev_name(m->identity.uuid, nics->list[k].name, host);
				text_addf(out, "%s/%s/%s %s\n", d->machines[kind]->name,
					  m->object.name, nics->list[k].name, host);
			}
		}
}

int net_find(const struct machine *m, const char *name, const char *what, struct net **ret,
	     struct err *e)
{
	const struct owner *own = &m->object.owner;
	struct object *o = object_child(m->object.daemon->nets, name);
	mode_t bit;

	if (!o)
		return err_set(e, -ENOENT, "%s: there is no net/%.63s", what, name);
	bit = own->uid == o->owner.uid ? 0200 : own->gid == o->owner.gid ? 0020 : 0002;
	if (own->uid != 0 && !(o->owner.mode & bit))
		return err_set(e, -EACCES, "%s: user %u may not join net/%s", what, own->uid, name);
	*ret = object_net(o);
	return 0;
}
