/* The kinds of parts: see part_type.h. */
#include "fs/attr/part_type.h"

#include <string.h>

#include "backends/engine.h"
#include "fs/machine/part.h"
#include "vmm/virtio/virtio_blk.h"
#include "vmm/virtio/virtio_net.h"

#include "fs/machine/nic.h"
#include "fs/machine/share.h"

#define OF(kind) (1u << KIND_##kind)
#define OF_BOTH	 (OF(VM) | OF(CONTAINER))

static bool disk_complete(const struct part *p)
{
	return *p->disk.path;
}

static bool nic_complete(const struct part *p)
{
	return *p->nic.net;
}

static bool share_complete(const struct part *p)
{
	return *p->share.path;
}

static bool mount_complete(const struct part *p)
{
	return *p->mount.target && (*p->mount.source || p->mount.type != MOUNT_BIND);
}

static bool device_complete(const struct part *p)
{
	return *p->device.path;
}

static const char *const disk_counters[ENGINE_PART_COUNTERS + 1] = {
	[BLK_READS] = "reads",	   [BLK_READ_BYTES] = "read_bytes",
	[BLK_WRITES] = "writes",   [BLK_WRITTEN_BYTES] = "written_bytes",
	[BLK_FLUSHES] = "flushes", [BLK_DISCARDS] = "discards",
	[BLK_ERRORS] = "errors",
};

static const char *const nic_counters[ENGINE_PART_COUNTERS + 1] = {
	[VIRTIO_NET_RX_BYTES] = "rx_bytes",	[VIRTIO_NET_RX_PACKETS] = "rx_packets",
	[VIRTIO_NET_RX_DROPPED] = "rx_dropped", [VIRTIO_NET_RX_WAITS] = "rx_waits",
	[VIRTIO_NET_TX_BYTES] = "tx_bytes",	[VIRTIO_NET_TX_PACKETS] = "tx_packets",
	[VIRTIO_NET_TX_DROPPED] = "tx_dropped", [VIRTIO_NET_RATE_WAITS] = "rate_waits",
	[VIRTIO_NET_HANDED] = "vhost_starts",
};

static void disk_stat(const struct machine *m, const struct part *part, struct text *out)
{
	part_show_counters(m, PART_DISK, part, out);
}

static const struct part_file disk_files[] = {
	{ "stat", disk_stat,
	  "What it has done since the machine's start, KEY VALUE. Empty while it is not there." },
	{ NULL },
};

static const struct part_type types[PART_KINDS] = {
	[PART_DISK] = { .dir = "disk",
			.schema = { "disk", sizeof(struct part), { &disk_attrs } },
			.machines = OF(VM),
			.complete = disk_complete,
			.counters = disk_counters,
			.files = disk_files,
			.doc = "The machine's disks. One without a path is not there yet." },
	[PART_NIC] = { .dir = "nic",
		       .schema = { "network interface", sizeof(struct part), { &nic_attrs } },
		       .machines = OF_BOTH,
		       .complete = nic_complete,
		       .counters = nic_counters,
		       .count = nic_count,
		       .open = nic_open,
		       .files = nic_files,
		       .doc = "Its network interfaces. One without a net is not there yet." },
	[PART_SHARE] = { .dir = "share",
			 .schema = { "share", sizeof(struct part), { &share_attrs } },
			 .machines = OF(VM),
			 .complete = share_complete,
			 .open = share_open,
			 .doc = "Directories of the host inside the guest, by virtiofs: the tag is "
				"the name. One without a path is not there yet." },
	[PART_NUMA] = { .dir = "numa",
			.schema = { "NUMA node", sizeof(struct part), { &numa_attrs } },
			.machines = OF(VM),
			.numbered = true,
			.fixed = true,
			.doc = "The guest's NUMA nodes, with numbers from 0 on as names. Without "
			       "any "
			       "it has one with all CPUs and memory." },
	[PART_MOUNT] = { .dir = "mount",
			 .schema = { "mount", sizeof(struct part), { &mount_attrs } },
			 .machines = OF(CONTAINER),
			 .complete = mount_complete,
			 .doc = "What is mounted in the container beside its root. One without a "
				"target, or of type bind without a source, is not there yet." },
	[PART_DEVICE] = { .dir = "device",
			  .schema = { "device", sizeof(struct part), { &device_attrs } },
			  .machines = OF(CONTAINER),
			  .complete = device_complete,
			  .doc = "Device nodes in the container beside the common ones (null, "
				 "zero, full, random, urandom, tty, ptmx), and the permission to "
				 "use them. One without a path is not there yet." },
};

const struct part_type *part_type(enum part_kind kind)
{
	return &types[kind];
}

bool part_kind_applies(enum part_kind kind, enum machine_kind machine)
{
	return types[kind].machines & 1u << machine;
}

int part_kind_find(enum machine_kind machine, const char *dir)
{
	for (int k = 0; k < PART_KINDS; k++)
		if (part_kind_applies((enum part_kind)k, machine) && !strcmp(types[k].dir, dir))
			return k;
	return -1;
}

bool part_name_valid(enum part_kind kind, const char *name)
{
	size_t len = strlen(name);

	if (!types[kind].numbered)
		return object_name_valid(name);
	return len && len <= 2 && strspn(name, "0123456789") == len && (len == 1 || *name != '0');
}

bool part_complete(enum part_kind kind, const struct part *p)
{
	return !types[kind].complete || types[kind].complete(p);
}
