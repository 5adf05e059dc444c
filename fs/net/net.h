/*
 * struct net: a virtual switch, net/NAME in the tree: a bridge of the host that machines'
 * interfaces join (backends/net/netswitch.h).
 *
 * Its state directory, STATE/net/NAME, has `meta` (id, owner, modes) and `net` (settings, lines
 * NAME VALUE). The bridge is there as long as the object: it outlives the daemon, and is made again
 * by the first one after the host's boot. Who may write its directory may join it; what concerns
 * the host, its addresses and the way out, only root may set.
 */
#ifndef FS_NET_NET_H
#define FS_NET_NET_H

#include "backends/net/netswitch.h"
#include "fs/attr/attr.h"
#include "fs/node.h"
#include "fs/store/meta.h"

struct machine;

struct net_settings {
	struct net_addresses address;
	uint64_t mtu;
	char *uplink;
	bool nat;
	struct keyed label;
};

struct net {
	struct object object; /* first: object_net() */
	struct identity identity;
	struct net_settings settings;
	struct err broken; /* why its files could not be read; code 0: they could */
	char bridge[NETSWITCH_NAME];
};

static inline struct net *object_net(struct object *o)
{
	return (struct net *)o;
}

extern const struct schema net_schema;

/* The files of a switch's directory; the class owns the array. */
int net_files(struct class *ret, struct err *e);

/* class operations, see struct class */
int net_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
	      struct object **ret, struct err *e);
int net_rmdir(struct object *o, struct caller who, struct err *e);
int net_rename(struct object *o, const char *name, struct err *e);
int net_chown(struct object *o, struct err *e);
void net_free(struct object *o);

/* As machine_load(). */
int net_load(struct daemon *d, const char *name, bool anew, struct err *e);
/* The bridge is what the settings say. */
void net_recover(struct net *n);

/* Takes over next (on success only): the bridge, the file, then the object. */
int net_configure(struct net *n, struct net_settings *next, struct caller who, struct err *e);

/* The interfaces that are to join it, a line each: vm/NAME/NIC and the interface on the host. */
void net_ports(const struct net *n, struct text *out);
/*
 * The switch of that name that this machine's owner may join: its directory's w for him. ENOENT, or
 * EACCES, beginning with `what`.
 */
int net_find(const struct machine *m, const char *name, const char *what, struct net **ret,
	     struct err *e);

#endif
