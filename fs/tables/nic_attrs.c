/* The settings of a network interface, nic/NAME: see machine_attrs.c. */
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, nic.field)

static const char *const link_words[] = { "down", "up", NULL };
static const char *const vhost_words[] = { "auto", "on", "off", NULL };

static const struct attr rows[] = {
	{ .name = "net",
	  .type = &attr_name,
	  AT(net),
	  .flags = ATTR_LIVE | ATTR_OPENS,
	  .doc = "The switch that it is connected to: a NAME of net/. Without one there is no "
		 "interface; writing one while the machine runs plugs it in, and an empty line "
		 "unplugs it.",
	  .good = "lan",
	  .bad = "../lan" },
	{ .name = "mac",
	  .type = &attr_mac,
	  AT(mac),
	  .doc = "Its hardware address; when empty, one made from the machine's uuid and the "
		 "interface's name.",
	  .good = "52:54:00:12:34:56",
	  .bad = "52:54:00:12:34" },
	{ .name = "address",
	  .type = &attr_addresses,
	  AT(address),
	  .flags = ATTR_LIVE,
	  .doc = "The addresses that a container has on it; those of a VM are what the DHCP server "
		 "of the switch gives it, or what its guest sets.",
	  .good = "10.0.0.2/24 fd00::2/64",
	  .bad = "10.0.0.256/24" },
	{ .name = "gateway",
	  .type = &attr_gateways,
	  AT(gateway),
	  .flags = ATTR_LIVE,
	  .doc = "Where a container sends what is for elsewhere.",
	  .good = "10.0.0.1",
	  .bad = "10.0.0.1/24" },
	{ .name = "mtu",
	  .type = &attr_number,
	  AT(mtu),
	  .flags = ATTR_LIVE,
	  .min = 68,
	  .max = 65535,
	  .initial = "1500",
	  .doc = "The largest packet, in bytes.",
	  .good = "9000",
	  .bad = "67" },
	{ .name = "queues",
	  .type = &attr_number,
	  AT(queues),
	  .min = 1,
	  .max = 16,
	  .initial = "1",
	  .doc = "How many pairs of queues it has.",
	  .good = "2",
	  .bad = "0" },
	{ .name = "rate",
	  .type = &attr_nic_rate,
	  AT(rate),
	  .flags = ATTR_LIVE,
	  .initial = "in=max out=max",
	  .doc = "How many bytes a second it may receive (in) and send (out), and as KEY.burst how "
		 "many at once.",
	  .good = "in=1048576 out=max",
	  .bad = "up=1" },
	{ .name = "link",
	  .type = &attr_word,
	  AT(link),
	  .flags = ATTR_LIVE,
	  .words = link_words,
	  .initial = "up",
	  .doc = "Whether the cable is plugged in.",
	  .good = "down",
	  .bad = "1" },
	{ .name = "vhost",
	  .type = &attr_word,
	  AT(vhost),
	  .words = vhost_words,
	  .initial = "auto",
	  .doc = "Whether the host's kernel moves a VM's frames (/dev/vhost-net), which is faster, "
		 "or its monitor: with auto the kernel does where the host can, but while there is "
		 "a rate; on is refused where it cannot, and does not go with a rate; with off "
		 "the guest reaches less of the kernel. A container's are always moved by the "
		 "kernel.",
	  .good = "off",
	  .bad = "1" },
};

const struct attr_table nic_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
