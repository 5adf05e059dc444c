/* The command line: see options.h. */
#include "fs/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/host/opener.h"
#include "backends/image/importer.h"
#include "backends/vhost/virtiofsd.h"
#include "fs/handover/upgrade.h"
#include "fs/machine/launch.h"
#include "fs/manual.h"
#include "fs/poker.h"

static const char usage[] =
	"usage: machinefs [options] [[SOURCE] MOUNTPOINT]\n"
	"Virtual machines and containers as files. The default mount point is /run/machines.\n"
	"\n"
	"  -f, --foreground      stay in the foreground, log to stderr\n"
	"      --state-dir DIR   durable state, default /var/lib/machinefs\n"
	"      --run-dir DIR     sockets of running machines, default /run/machinefs\n"
	"  -o OPT[,OPT...]       mount options; also state-dir=DIR, run-dir=DIR\n"
	"      --version, --help\n"
	"\n"
	"SIGTERM or an unmount ends the daemon and leaves the machines running; the next start\n"
	"finds them again. `echo shutdown > ctl` stops them first. See machinefs(8).\n";

enum long_option {
	OPTION_STATE_DIR = 256,
	OPTION_RUN_DIR,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_KEPT,
	OPTION_MONITOR,
	OPTION_SUCCESSOR,
	OPTION_OPENER,
	OPTION_IMPORTER,
	OPTION_SPARE,
	OPTION_POKER,
	OPTION_SHARE_SERVER,
	OPTION_MANUAL
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	/* For the daemon and the build themselves: */
	{ "kept", no_argument, NULL, OPTION_KEPT },
	{ "monitor", no_argument, NULL, OPTION_MONITOR },
	{ "successor", no_argument, NULL, OPTION_SUCCESSOR },
	{ "opener", no_argument, NULL, OPTION_OPENER },
	{ "importer", no_argument, NULL, OPTION_IMPORTER },
	{ "spare", no_argument, NULL, OPTION_SPARE },
	{ "mould", no_argument, NULL, OPTION_SPARE },
	{ "poker", no_argument, NULL, OPTION_POKER },
	{ "share-server", required_argument, NULL, OPTION_SHARE_SERVER },
	{ "manual", no_argument, NULL, OPTION_MANUAL },
	{ NULL, 0, NULL, 0 },
};

/* Words of fstab that say when to mount, which has happened. */
static bool word_is_for_mount(const char *word)
{
	static const char *const words[] = { "defaults", "auto",  "noauto", "user",   "nouser",
					     "users",	 "owner", "group",  "nofail", "_netdev" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i]))
			return true;
	return !strncmp(word, "x-", 2) || !strncmp(word, "comment=", 8);
}

/*
 * mount(8) hands over all that stands in fstab as one -o. What is ours is taken out of it; the rest
 * is for the kernel and libfuse, behind what an -o before this one has.
 */
static int options_mount(struct daemon_options *o, char *words)
{
	const char *before = o->mount_options ? o->mount_options : "";
	char *rest = malloc(strlen(before) + strlen(words) + 2), *end, *word;

	if (!rest)
		return -ENOMEM;
	end = stpcpy(rest, before);
	free((char *)o->mount_options);
	while ((word = strsep(&words, ","))) {
		if (!strncmp(word, "state-dir=", 10))
			o->state_dir = word + 10;
		else if (!strncmp(word, "run-dir=", 8))
			o->run_dir = word + 8;
		else if (*word && !word_is_for_mount(word))
			end = stpcpy(end == rest ? end : stpcpy(end, ","), word);
	}
	*end = '\0';
	if (end == rest) {
		free(rest);
		rest = NULL;
	}
	o->mount_options = rest;
	return 0;
}

int options_parse(int argc, char **argv, struct daemon_options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "fo:", long_options, NULL)) != -1)
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 'o':
			if (options_mount(o, optarg) < 0)
				return 1;
			break;
		case OPTION_STATE_DIR:
			o->state_dir = optarg;
			break;
		case OPTION_RUN_DIR:
			o->run_dir = optarg;
			break;
		case OPTION_KEPT:
			o->kept = true;
			break;
		case OPTION_VERSION:
			printf("machinefs %s\n", MACHINEFS_VERSION);
			return 0;
		case OPTION_HELP:
			fputs(usage, stdout);
			return 0;
		case OPTION_MONITOR:
			return launch_monitor();
		case OPTION_POKER:
			return poker_main() < 0;
		case OPTION_SPARE:
			return launch_spare(argv);
		case OPTION_OPENER:
			return opener_main() < 0;
		case OPTION_IMPORTER:
			return importer_main() < 0;
		case OPTION_SHARE_SERVER:
			return virtiofsd_main(optarg) < 0;
		case OPTION_SUCCESSOR:
			return upgrade_answer();
		case OPTION_MANUAL:
			return manual_print(stdout) < 0;
		default:
			fputs("Try --help.\n", stderr);
			return 2;
		}
	if (argc - optind > 2) {
		fputs("machinefs: more than one mount point. Try --help.\n", stderr);
		return 2;
	}
	/* What stands before it is fstab's first field, which means nothing here. */
	if (optind < argc)
		o->mountpoint = argv[argc - 1];
	return -1;
}

/* Absolute, since a daemon changes its directory; a copy, the options' own. */
static int absolute(const char **path, struct err *e)
{
	char *cwd = **path == '/' ? strdup("") : getcwd(NULL, 0), *out;

	if (!cwd || asprintf(&out, "%s%s%s", cwd, *cwd ? "/" : "", *path) < 0)
		out = NULL;
	free(cwd);
	if (!out)
		err_set(e, -EINVAL, "%s: no absolute path can be made of it", *path);
	*path = out;
	return out ? 0 : e->code;
}

/* The path by which this program was executed: by then the file may be a newer one. */
static int own_path(const char **ret, struct err *e)
{
	char *path = realpath("/proc/self/exe", NULL);

	if (!path)
		return err_sys(e, errno, "/proc/self/exe");
	*ret = path;
	return 0;
}

int options_resolve(struct daemon_options *o, struct err *e)
{
	const char **paths[] = { &o->mountpoint, &o->state_dir, &o->run_dir };
	int rc = own_path(&o->exe, e);

	/* All of them, also behind a failure: options_free() frees all. */
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int one = absolute(paths[i], e);

		rc = rc ? rc : one;
	}
	return rc;
}

void options_free(struct daemon_options *o)
{
	free((char *)o->mount_options);
	free((char *)o->exe);
	free((char *)o->mountpoint);
	free((char *)o->state_dir);
	free((char *)o->run_dir);
}

void options_argv(const struct daemon_options *o, char *argv[OPTIONS_ARGV_MAX])
{
	const char *words[OPTIONS_ARGV_MAX] = { "machinefs",   o->foreground ? "-f" : "--kept",
						"--state-dir", o->state_dir,
						"--run-dir",   o->run_dir };
	int n = 6;

	if (o->mount_options) {
		words[n++] = "-o";
		words[n++] = o->mount_options;
	}
	words[n++] = o->mountpoint;
	words[n] = NULL;
	memcpy(argv, words, sizeof(words));
}
