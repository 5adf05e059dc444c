/*
 * The settings that every machine has: one row each. To add a setting, add a field to struct
 * machine_config and a row here, and act on it in the engine (docs/HACKING.md).
 */
#include "fs/attr/attr.h"

#define AT(field) .offset = offsetof(struct machine_config, field)

static const char *const isolation_words[] = { "process", "thread", NULL };
static const char *const restart_words[] = { "never", "on-failure", "always", NULL };

static const struct attr rows[] = {
	{ COMMON_LABEL, AT(label) },
	{ .name = "autostart",
	  .type = &attr_bool,
	  AT(autostart),
	  .flags = ATTR_LIVE,
	  .initial = "0",
	  .doc = "Whether the machine is started with the daemon: by the first one after the "
		 "host's boot, or after shutdown. A daemon that is started again later leaves "
		 "stopped what was stopped. A refusal is logged, in error and in events, and the "
		 "others are started.",
	  .good = "1",
	  .bad = "yes" },
	{ .name = "autostart.order",
	  .type = &attr_number,
	  AT(autostart_order),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = 1000000,
	  .initial = "100",
	  .doc = "Machines are started one after the other, the lowest number first; those with "
		 "the same number by their names.",
	  .good = "10",
	  .bad = "first" },
	{ .name = "autostart.delay",
	  .type = &attr_number,
	  AT(autostart_delay),
	  .flags = ATTR_LIVE,
	  .min = 0,
	  .max = 3600,
	  .initial = "0",
	  .doc = "How many seconds after this machine's start the next one is started.",
	  .good = "5",
	  .bad = "5s" },
	{ .name = "restart",
	  .type = &attr_word,
	  AT(restart),
	  .flags = ATTR_LIVE,
	  .words = restart_words,
	  .initial = "never",
	  .doc = "Whether the machine is started again when it has ended: always; or on-failure, "
		 "unless it exited with 0 or the guest powered itself off, so also when a guest "
		 "reboots. What stop, kill or shutdown ended stays down. It waits restart.delay, "
		 "then twice as long each time, up to a minute; a run of a minute, or a start by "
		 "hand, begins anew. events tells of it; while it waits, stop calls it off. It "
		 "also "
		 "holds for a machine that ended while there was no daemon, but not over the "
		 "host's boot: see autostart.",
	  .good = "on-failure",
	  .bad = "sometimes" },
	{ .name = "restart.delay",
	  .type = &attr_number,
	  AT(restart_delay),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = 3600,
	  .initial = "1",
	  .doc = "How many seconds after the machine's end it is started again the first time.",
	  .good = "2",
	  .bad = "0" },
	{ .name = "restart.max",
	  .type = &attr_number,
	  AT(restart_max),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "How often in a row it is started again before it is left as it is.",
	  .good = "10",
	  .bad = "0" },
	{ .name = "ephemeral",
	  .type = &attr_bool,
	  AT(ephemeral),
	  .flags = ATTR_LIVE,
	  .initial = "0",
	  .doc = "Whether the machine is removed, with all that is kept of it, when it has ended "
		 "and is not to be started again. It goes after its waiters are answered and at "
		 "least a second later; who holds one of its files open then, exit for one, is "
		 "waited for, for ten seconds at most. Only who may remove the machine may "
		 "ask for it.",
	  .good = "1",
	  .bad = "rm" },
	{ .name = "isolation",
	  .type = &attr_word,
	  AT(isolation),
	  .words = isolation_words,
	  .initial = "process",
	  .doc = "Where the machine's monitor runs: in a process of its own, which outlives the "
		 "daemon, or on a thread of the daemon, for trusted guests of the daemon's own "
		 "user; such a machine ends with the daemon, and cpu.max and cpu.weight do not "
		 "apply to a VM there.",
	  .good = "thread",
	  .bad = "process thread" },
	{ .name = "cpu.max",
	  .type = &attr_cpu_max,
	  AT(cpu_max),
	  .flags = ATTR_LIVE,
	  .max = 1000000000000,
	  .initial = "max 100000",
	  .doc = "The CPU time the machine may use: at most QUOTA in each PERIOD.",
	  .good = "50000 100000",
	  .bad = "5 5" },
	{ .name = "cpu.weight",
	  .type = &attr_number,
	  AT(cpu_weight),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = 10000,
	  .initial = "100",
	  .doc = "The machine's share of CPU time when others want it too.",
	  .good = "200",
	  .bad = "10001" },
	{ .name = "pids.max",
	  .type = &attr_number,
	  AT(pids_max),
	  .flags = ATTR_LIVE,
	  .min = 1,
	  .max = LIMIT_MAX,
	  .initial = "max",
	  .doc = "How many processes and threads the machine may have; for a VM, its monitor's.",
	  .good = "512",
	  .bad = "many" },
};

const struct attr_table machine_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
