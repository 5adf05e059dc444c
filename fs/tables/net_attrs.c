/* The settings of virtual switches: one row each. See attr.h, net.h. */
#include "fs/net/net.h"

#define SETTING(f) .offset = offsetof(struct net_settings, f)

static const struct attr rows[] = {
	{ .name = "address",
	  .type = &attr_addresses,
	  SETTING(address),
	  .flags = ATTR_LIVE,
	  .doc = "The host's own addresses on it: its machines reach the host by them, and may "
		 "have "
		 "one as their gateway. Only root may set it.",
	  .good = "10.0.0.1/24 fd00::1/64",
	  .bad = "10.0.0.1" },
	{ .name = "mtu",
	  .type = &attr_number,
	  SETTING(mtu),
	  .flags = ATTR_LIVE,
	  .min = 68,
	  .max = 65535,
	  .initial = "1500",
	  .doc = "The largest packet, in bytes. A machine's interface has an mtu of its own.",
	  .good = "9000",
	  .bad = "67" },
	{ .name = "uplink",
	  .type = &attr_string,
	  SETTING(uplink),
	  .flags = ATTR_LIVE,
	  .max = 15,
	  .doc = "An interface of the host's that becomes a port: the way to the network behind "
		 "it. "
		 "The host itself no longer uses it by its own addresses. Only root may set it.",
	  .good = "eth9",
	  .bad = "an-interface-of-no-host" },
	{ .name = "nat",
	  .type = &attr_bool,
	  SETTING(nat),
	  .flags = ATTR_LIVE,
	  .initial = "0",
	  .doc = "Machines reach what is beyond the host by the host's address, and are not "
		 "reached "
		 "from there. Needs nft, and a host that forwards. Only root may set it.",
	  .good = "1",
	  .bad = "yes" },
	{ COMMON_LABEL, SETTING(label) },
};

static const struct attr_table settings = { rows, sizeof(rows) / sizeof(rows[0]) };

const struct schema net_schema = { "switch", sizeof(struct net_settings), { &settings, NULL } };
