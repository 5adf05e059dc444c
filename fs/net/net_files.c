/* The files of a switch's directory. See net.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/net/netlink.h"
#include "fs/attr/attr_files.h"
#include "fs/store/event_log.h"
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

static void show_uuid(struct object *o, const struct file *f, struct text *out)
{
	text_addf(out, "%s\n", object_net(o)->identity.uuid);
}

static void show_created(struct object *o, const struct file *f, struct text *out)
{
	struct timespec t = object_net(o)->identity.created;

	text_addf(out, "%lld.%06ld\n", (long long)t.tv_sec, t.tv_nsec / 1000);
}

static off_t events_size(struct object *o, const struct file *f)
{
	return event_log_size(object_net(o)->events);
}

static ssize_t events_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at)
{
	return event_log_read(object_net(o)->events, buf, size, at);
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
	{ .name = "error",
	  .changes = CHANGE_REFUSAL,
	  .mode = 0444,
	  .show = object_show_refusal,
	  .doc = "The last refusal, or why its bridge could not be made." },
	{ .name = "events",
	  .mode = 0444,
	  .kind = FILE_LOG,
	  .event = true,
	  .log_size = events_size,
	  .log_read = events_read,
	  .doc = "What happened to this switch, as a machine's." },
	{ .name = "uuid",
	  .mode = 0444,
	  .changes = CHANGE_NEVER,
	  .show = show_uuid,
	  .doc = "Its name for ever." },
	{ .name = "created",
	  .mode = 0444,
	  .changes = CHANGE_NEVER,
	  .show = show_created,
	  .doc = "When it was made, in seconds of the epoch." },
};

int net_files(struct class *ret, struct err *e)
{
	const size_t n = sizeof(rows) / sizeof(rows[0]);

	ret->files = calloc(n + schema_count(&net_schema), sizeof(*ret->files));
	if (!ret->files)
		return err_sys(e, ENOMEM, "files");
	memcpy(ret->files, rows, sizeof(rows));
	ret->nfiles = n;
	attr_files(ret, &net_schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	return 0;
}
