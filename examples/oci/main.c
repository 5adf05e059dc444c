/* machinefs-oci: the command line's beginning, and where refusals are told. See oci.h. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "examples/oci/oci.h"

#define USAGE                                                                                    \
	"machinefs-oci [--tree DIR] [--root DIR] [--log FILE] [--log-format text|json] COMMAND " \
	"...\n"                                                                                  \
	"  create [-b BUNDLE] [--pid-file F] [--console-socket S] ID\n"                          \
	"  run [-b BUNDLE] [-d] [--keep] [--pid-file F] [--console-socket S] ID\n"               \
	"  start | state | pause | resume ID\n"                                                  \
	"  kill [-a] ID [SIGNAL]\n"                                                              \
	"  delete [-f] ID\n"                                                                     \
	"  exec [-d] [-t] [-e N=V] [-u UID[:GID]] [--cwd D] [-p PROCESS] ID [PROGRAM ARG ...]\n" \
	"  update [-r FILE] [--memory N] [--pids-limit N] [--cpu-quota N] ... ID\n"              \
	"  ps [-f json] ID\n"                                                                    \
	"  list [-q] [-f json]\n"                                                                \
	"  features\n"

enum { OPTION_TREE = 256, OPTION_ROOT, OPTION_LOG, OPTION_FORMAT, OPTION_IGNORED, OPTION_VERSION };

static const struct option options[] = {
	{ "tree", required_argument, NULL, OPTION_TREE },
	{ "root", required_argument, NULL, OPTION_ROOT },
	{ "log", required_argument, NULL, OPTION_LOG },
	{ "log-format", required_argument, NULL, OPTION_FORMAT },
	/* Of other runtimes'; what they say is so, or makes no difference here. */
	{ "debug", no_argument, NULL, OPTION_IGNORED },
	{ "systemd-cgroup", no_argument, NULL, OPTION_IGNORED },
	{ "cgroup-manager", required_argument, NULL, OPTION_IGNORED },
	{ "rootless", required_argument, NULL, OPTION_IGNORED },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* One line; as JSON it is what engines look for in the log. */
void tell(const struct oci *o, const char *level, const char *sentence)
{
	FILE *f = o->log ? fopen(o->log, "ae") : NULL;
	char when[40];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (f && o->log_json) {
		json_t *line =
			json_pack("{s:s, s:s, s:s}", "level", level, "msg", sentence, "time", when);

		json_dumpf(line, f, JSON_COMPACT);
		fputc('\n', f);
		json_decref(line);
	} else if (f) {
		fprintf(f, "time=\"%s\" level=%s msg=\"%s\"\n", when, level, sentence);
	}
	if (f)
		fclose(f);
	fprintf(stderr, "machinefs-oci: %s\n", sentence);
}

static int take_option(struct oci *o, int option)
{
	switch (option) {
	case OPTION_TREE:
		o->tree = optarg;
		return 0;
	case OPTION_ROOT:
		o->root = optarg;
		return 0;
	case OPTION_LOG:
		o->log = optarg;
		return 0;
	case OPTION_FORMAT:
		o->log_json = !strcmp(optarg, "json");
		return 0;
	case OPTION_IGNORED:
		return 0;
	case OPTION_VERSION:
		printf("machinefs-oci version %s\nspec: %s\n", MACHINEFS_VERSION, OCI_VERSION);
		return 1;
	case 'h':
		fputs(USAGE, stdout);
		return 1;
	default:
		return -EINVAL;
	}
}

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

int main(int argc, char **argv)
{
	struct oci o = {
		.tree = from_environment("MACHINEFS_TREE", "/run/machines"),
		.root = "/run/machinefs-oci",
	};
	struct err e = { 0 };
	int option, rc = 0;

	while (rc == 0 && (option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		rc = take_option(&o, option);
	if (rc > 0)
		return 0;
	if (rc < 0 || optind == argc) {
		fputs(USAGE, stderr);
		return 1;
	}
	/* A keeper stays, and must hold nothing of its caller's open but the standard streams. */
	syscall(SYS_close_range, 3, ~0u, 0);
	rc = command_run(&o, argc - optind, argv + optind, &e);
	if (rc >= 0)
		return rc;
	tell(&o, "error", e.text);
	return 1;
}
