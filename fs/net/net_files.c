/* The files of a switch's directory. See net.h. */
#include <inttypes.h>

#include "backends/net/netlink.h"
#include "fs/attr/attr_files.h"
#include "fs/common_files.h"
#include "fs/net/net.h"

static void show_setting(struct object *o, const struct file *f, struct text *out)
{
	attr_show(f->attr, &object_net(o)->settings, out);
}

static int write_setting(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	struct net *n = object_net(h->object);
	struct net_settings next;
	int rc = schema_copy(&net_schema, &n->settings, &next, e);

	if (rc < 0)
		return rc;
	rc = attr_store(h->file->attr, &next, data, len, e);
	if (rc == 0)
		rc = net_configure(n, &next, r->who, e);
	if (rc < 0)
		schema_free(&net_schema, &next);
	return rc;
}

static void show_host(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", object_net(o)->bridge);
}

static void show_ports(struct object *o, const struct file *f, struct text *out)
{
	net_ports(object_net(o), out);
}

/* What the kernel counts at the bridge: the host's own traffic with the switch. */
static void show_stat(struct object *o, const struct file *f, struct text *out)
{
	struct netlink_stats s = { 0 };
	struct nl_sock *nl;

	if (netlink_open(-1, &nl, NULL) < 0)
		return;
	netlink_stats(nl, object_net(o)->bridge, &s);
	netlink_close(nl);
	text_addf(out,
		  "rx_bytes %" PRIu64 "\nrx_packets %" PRIu64 "\nrx_dropped %" PRIu64
		  "\ntx_bytes %" PRIu64 "\ntx_packets %" PRIu64 "\ntx_dropped %" PRIu64 "\n",
		  s.rx_bytes, s.rx_packets, s.rx_dropped, s.tx_bytes, s.tx_packets, s.tx_dropped);
}

static const struct file rows[] = {
	{ .name = "host",
	  .mode = 0444,
	  .changes = CHANGE_NEVER,
	  .show = show_host,
	  .doc = "The bridge's name on the host." },
	{ .name = "ports",
	  .mode = 0444,
	  .show = show_ports,
	  .doc = "The machines' interfaces that are to join it, a line each: KIND/MACHINE/NIC and "
		 "its "
		 "name on the host. While there are any it cannot be removed or renamed." },
	{ .name = "stat",
	  .mode = 0444,
	  .show = show_stat,
	  .doc = "What the host itself has received from it and sent to it." },
	{ COMMON_ERROR, .doc = "The last refusal, or why its bridge could not be made." },
	{ COMMON_EVENTS, .doc = "What happened to this switch, as a machine's." },
	{ COMMON_UUID },
	{ COMMON_CREATED },
};

int net_files(struct class *ret, struct err *e)
{
	int rc =
		files_init(ret, rows, sizeof(rows) / sizeof(rows[0]), schema_count(&net_schema), e);

	if (rc < 0)
		return rc;
	attr_files(ret, &net_schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	return 0;
}
