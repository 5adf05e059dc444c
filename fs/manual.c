/* machinefs(5): see manual.h. The frame is here, what it frames is in the tables. */
#include "fs/manual.h"

#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/part_type.h"
#include "fs/exec/exec.h"
#include "fs/image/image.h"
#include "fs/machine/machine_files.h"
#include "fs/machine/part.h"
#include "fs/machine/vcpu.h"
#include "fs/net/net.h"
#include "fs/root_files.h"

#define LINE_MAX 72 /* columns of a text line in the page's source */

static const char head[] =
	".\\\" Generated from the tables in fs/ by machinefs --manual: change those.\n"
	".Dd $Mdocdate$\n"
	".Dt MACHINEFS 5\n"
	".Os machinefs\n"
	".Sh NAME\n"
	".Nm machinefs\n"
	".Nd virtual machines and containers as files\n"
	".Sh DESCRIPTION\n"
	"Each virtual machine is a directory\n"
	".Pa vm/NAME\n"
	"and each container a directory\n"
	".Pa container/NAME\n"
	"of the file system that\n"
	".Xr machinefs 8\n"
	"mounts.\n"
	".Xr mkdir 1\n"
	"makes a machine with working defaults,\n"
	".Xr rmdir 1\n"
	"removes one that is stopped,\n"
	".Xr mv 1\n"
	"renames it.\n"
	"A name is 1 to 63 letters, digits, dots, underscores and hyphens,\n"
	"and begins with a letter or digit.\n"
	"Files come and go with their directory.\n"
	"In a container's\n"
	".Pa exec ,\n"
	".Xr mkdir 1\n"
	"makes a session: a further process inside it, with files of its own.\n"
	".Pp\n"
	"One file is one setting or one figure.\n"
	"Reading a setting returns what writing accepts.\n"
	"Formats are those of\n"
	".Xr cgroups 7 ,\n"
	"version 2:\n"
	"one value, or lines KEY VALUE.\n"
	"Sizes are bytes, accepted with K, M, G and T (powers of 1024);\n"
	"times are microseconds unless it is said otherwise;\n"
	".Ql max\n"
	"is no limit; booleans are 0 and 1.\n"
	".Pp\n"
	"One\n"
	".Xr write 2\n"
	"is one transaction.\n"
	"It is done, and on disk, when it returns; or it is refused and has changed\n"
	"nothing.\n"
	"So a value is written whole, as\n"
	".Xr echo 1\n"
	"and\n"
	".Xr printf 1\n"
	"do.\n"
	"Where lines KEY VALUE are taken, any number may come in one write, and\n"
	"they succeed or fail together.\n"
	"Truncation and offsets mean nothing.\n"
	"No read blocks, and no read changes anything.\n"
	".Ss Errors\n"
	"A refused operation leaves the name of its errno and a sentence in the file\n"
	".Pa error\n"
	"of the machine;\n"
	"or of the root where there is no machine, as for a refused\n"
	".Xr mkdir 1 .\n"
	"A descriptor opened for reading and writing reads back its own last refusal.\n"
	".Pp\n"
	".Bl -tag -width EACCES -compact\n"
	".It Er EINVAL\n"
	"not the syntax of this file; out of bounds; unknown verb; bad name\n"
	".It Er EBUSY\n"
	"not in this state; in use; the time to wait is over\n"
	".It Er EEXIST\n"
	"already so; the name is taken\n"
	".It Er ENOENT\n"
	"a path or object named in the value does not exist\n"
	".It Er EPERM\n"
	"not permitted to this user, or to anybody\n"
	".It Er EACCES\n"
	"a path that the machine's owner may not open\n"
	".It Er ENXIO\n"
	"this host, kernel or kind of machine cannot; the monitor is gone\n"
	".It Er ENOSPC\n"
	"the host has not got the memory, CPUs or disk\n"
	".It Er EIO\n"
	"it failed below; the sentence says where\n"
	".It Er ESTALE\n"
	"the machine was removed\n"
	".El\n"
	".Ss Owners and modes\n"
	"A machine belongs to who made it.\n"
	".Xr chown 8\n"
	"hands over its directory and files, and\n"
	".Xr chmod 1\n"
	"opens or closes single files: who may write\n"
	".Pa ctl\n"
	"may start and stop the machine, who may write\n"
	".Pa cpu.max\n"
	"may limit it.\n"
	"Who may write a setting has the rights of the machine's owner in it: paths of the\n"
	"host are opened with these, whoever has written them, and the machine runs with\n"
	"them.\n"
	"The directory's group lets others in; it is no right of the owner's.\n"
	"While a machine runs its owner cannot change.\n"
	"Both last as long as the machine does.\n"
	".Ss Waiting\n"
	"A write to\n"
	".Pa wait\n"
	"returns when the machine is in the state written.\n"
	"For the files\n"
	".Pa state , console\n"
	"and\n"
	".Pa events ,\n"
	".Xr poll 2\n"
	"and\n"
	".Xr inotify 7\n"
	"tell of changes.\n"
	"A watcher that is slow may miss a state that is over,\n"
	"but never the last one;\n"
	".Pa events\n"
	"has all of them.\n"
	"Of a directory, inotify tells which machines come and go.\n"
	".Ss What happens\n"
	"A line of\n"
	".Pa events\n"
	"is\n"
	".Ql SEQ TIME OBJECT WHAT [DETAIL] .\n"
	"WHAT is one of\n"
	".Pp\n"
	".Bl -tag -width autostart -compact\n"
	".It Ql created\n"
	"by\n"
	".Xr mkdir 1\n"
	".It Ql removed\n"
	"by\n"
	".Xr rmdir 1 ,\n"
	"or since it was ephemeral\n"
	".It Ql renamed\n"
	"and its name before\n"
	".It Ql state\n"
	"and the new state; with\n"
	".Ql stopped\n"
	"and\n"
	".Ql failed\n"
	"what\n"
	".Pa exit\n"
	"says; with\n"
	".Ql found\n"
	"where a daemon has found what no earlier one has told\n"
	".It Ql autostart\n"
	"the daemon starts it by itself\n"
	".It Ql restart\n"
	"when it will be started again, and for which time, or that it will not\n"
	".It Ql refused\n"
	"why such a start was refused\n"
	".El\n";

static const char tail[] =
	".Sh EXAMPLES\n"
	"A container, from a directory with a root file system:\n"
	".Bd -literal -offset indent\n"
	"cd /run/machines\n"
	"mkdir container/web\n"
	"echo /srv/web > container/web/root\n"
	"echo \"/bin/sh -c 'echo hello; sleep 60'\" > container/web/init\n"
	"echo 64M > container/web/memory.size\n"
	"echo start > container/web/ctl\n"
	"cat container/web/console\n"
	"echo stop > container/web/ctl\n"
	"echo stopped > container/web/wait\n"
	"rmdir container/web\n"
	".Ed\n"
	".Pp\n"
	"A virtual machine:\n"
	".Bd -literal -offset indent\n"
	"mkdir vm/db\n"
	"echo /srv/db/vmlinuz > vm/db/boot.kernel\n"
	"echo /srv/db/initrd > vm/db/boot.initrd\n"
	"echo 2 > vm/db/cpu.count\n"
	"echo start > vm/db/ctl\n"
	"tail -f vm/db/console\n"
	".Ed\n"
	".Pp\n"
	"A copy with the same settings, and several settings at once:\n"
	".Bd -literal -offset indent\n"
	"mkdir vm/db2\n"
	"cat vm/db/config.yaml > vm/db2/config.yaml\n"
	"sed 's/^cpu.count:.*/cpu.count: 4/' vm/db/config.yaml > new.yaml\n"
	"cat new.yaml > vm/db/config.yaml\n"
	".Ed\n"
	".Pp\n"
	"A machine that comes up with the host, and again when it fails, at most\n"
	"five times in a row:\n"
	".Bd -literal -offset indent\n"
	"echo 1 > vm/db/autostart\n"
	"echo on-failure > vm/db/restart\n"
	"echo 5 > vm/db/restart.max\n"
	".Ed\n"
	".Pp\n"
	"One that is to leave nothing behind; who holds\n"
	".Pa exit\n"
	"open learns how it ended:\n"
	".Bd -literal -offset indent\n"
	"echo 1 > container/job/ephemeral\n"
	"exec 3< container/job/exit\n"
	"echo start > container/job/ctl\n"
	"echo stopped > container/job/wait\n"
	"cat <&3\n"
	"exec 3<&-\n"
	".Ed\n"
	".Sh SEE ALSO\n"
	".Xr cgroups 7 ,\n"
	".Xr machinefs 8\n";

/* ---- text ---- */

static bool sentence_ends(const char *word, size_t len)
{
	return len > 1 && word[len - 1] == '.' && word[len - 2] != '.';
}

static void print_escaped(FILE *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\\')
			fputs("\\e", out);
		else
			fputc(s[i], out);
}

/*
 * Sentences, wrapped, each from a new line, as mdoc(7) wants it. A line that begins with a dot
 * or a quote would be a request to the formatter.
 */
static void print_text(FILE *out, const char *text)
{
	size_t column = 0, len;

	for (; *text; text += len, text += strspn(text, " ")) {
		len = strcspn(text, " ");
		if (column && column + 1 + len > LINE_MAX) {
			fputc('\n', out);
			column = 0;
		}
		if (column)
			fputc(' ', out);
		else if (*text == '.' || *text == '\'')
			fputs("\\&", out);
		print_escaped(out, text, len);
		column += len + 1;
		if (sentence_ends(text, len)) {
			fputc('\n', out);
			column = 0;
		}
	}
	if (column)
		fputc('\n', out);
}

/* A macro with one literal argument, in which nothing is a macro. */
static void print_literal(FILE *out, const char *macro, const char *text, const char *behind)
{
	fprintf(out, ".%s \"", macro);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		print_escaped(out, text, 1);
	}
	fprintf(out, "\"%s\n", behind);
}

/* ---- files ---- */

static void print_words(FILE *out, const struct attr *a)
{
	const char *const *words = a->words;

	print_text(out, a->type == &attr_words ? "Any of these, separated by spaces:" : "One of:");
	for (; *words; words++)
		print_literal(out, "Ql", *words, words[1] ? " ," : " .");
}

static void print_size(FILE *out, uint64_t n)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	size_t i = 0;

	for (; n && n % 1024 == 0 && i < 4; n /= 1024)
		i++;
	fprintf(out, "%llu%s", (unsigned long long)n, units[i]);
}

static void print_number(FILE *out, const struct attr *a, uint64_t n)
{
	if (a->type == &attr_size)
		print_size(out, n);
	else
		fprintf(out, "%llu", (unsigned long long)n);
}

static void print_bounds(FILE *out, const struct attr *a)
{
	bool limit = a->max == LIMIT_MAX;

	fputs(limit ? "At least " : "From ", out);
	print_number(out, a, a->min);
	if (limit) {
		fputs(", or\n.Ql max .\n", out);
	} else {
		fputs(" to ", out);
		print_number(out, a, a->max);
		fputs(".\n", out);
	}
}

static void print_sample(FILE *out, const char *what, const char *value)
{
	fprintf(out, "%s\n", what);
	print_literal(out, "Ql", value, " .");
}

static void print_path(FILE *out, const struct attr *a)
{
	fprintf(out, "Names %s of the host, opened as the owner.\n",
		a->flags & ATTR_DIR_PATH    ? "a directory"
		: a->flags & ATTR_DISK_PATH ? "a regular file or a block device"
		: a->flags & ATTR_ANY_PATH  ? "a directory or a regular file"
		: a->flags & ATTR_NODE_PATH ? "a device"
		: a->flags & (ATTR_SOURCE_PATH | ATTR_SINK_PATH)
			? "a FIFO, a regular file, a terminal or /dev/null"
			: "a regular file");
}

static void print_setting(FILE *out, const struct attr *a, bool machine)
{
	bool number = a->type == &attr_number || a->type == &attr_size;
	/* A path that any host has is a sample for tests, not for readers. */
	bool host_path = a->flags & ATTR_PATH;

	if (a->words)
		print_words(out, a);
	else if (a->type->format)
		print_text(out, a->type->format);
	if (number)
		print_bounds(out, a);
	if (host_path)
		print_path(out, a);
	if (a->initial)
		print_sample(out, "Default:", a->initial);
	else
		print_text(out, "Empty by default.");
	if (a->good && !a->words && !host_path && a->type != &attr_bool)
		print_sample(out, "For example:", a->good);
	if (machine)
		print_text(out, a->flags & ATTR_LIVE ? "May change while the machine runs."
						     : "Cannot change while the machine runs.");
}

/* machine: its settings may, or may not, change while one runs. */
static void print_file(FILE *out, const struct file *f, bool machine)
{
	const char *access = f->kind == FILE_LINK  ? "link"
			     : f->kind == FILE_DIR ? "directory"
			     : f->write		   ? "read, write"
						   : "read only";

	fprintf(out, ".It Pa %s\n", f->name);
	if (!f->attr)
		fprintf(out, ".Pq %s\n", access);
	print_text(out, f->doc);
	if (f->attr)
		print_setting(out, f->attr, machine);
}

/* The same file, with the same meaning, in the other class: a row for both kinds. */
static bool file_shared(const struct file *f, const struct class *other)
{
	for (size_t i = 0; i < other->nfiles; i++)
		if (!strcmp(other->files[i].name, f->name) && other->files[i].attr == f->attr)
			return true;
	return false;
}

/* ---- sections ---- */

enum which { WHICH_ALL, WHICH_SETTINGS, WHICH_OTHERS };

/* Of the class's files those that other has too (shared) or has not; other NULL: all. */
static void print_section(FILE *out, const char *title, const struct class *c,
			  const struct class *other, bool shared, enum which which)
{
	fprintf(out, ".Sh %s\n.Bl -tag -width Ds\n", title);
	for (size_t i = 0; i < c->nfiles; i++) {
		const struct file *f = &c->files[i];

		if ((which == WHICH_SETTINGS && !f->attr) || (which == WHICH_OTHERS && f->attr))
			continue;
		if (!other || file_shared(f, other) == shared)
			print_file(out, f, strcmp(c->name ? c->name : "", "image"));
	}
	fputs(".El\n", out);
}

static int print_parts(FILE *out, struct err *e)
{
	static const char *const titles[PART_KINDS] = {
		[PART_DISK] = "A DISK",	  [PART_NIC] = "A NETWORK INTERFACE",
		[PART_SHARE] = "A SHARE", [PART_NUMA] = "A NUMA NODE",
		[PART_MOUNT] = "A MOUNT", [PART_DEVICE] = "A DEVICE",
	};
	int rc = 0;

	for (int k = 0; rc == 0 && k < PART_KINDS; k++) {
		struct class c = { 0 };
		char title[64];

		snprintf(title, sizeof(title), "FILES OF %s", titles[k]);
		rc = part_class((enum part_kind)k, &c, e);
		if (rc == 0)
			print_section(out, title, &c, NULL, true, WHICH_ALL);
		free(c.files);
	}
	return rc;
}

int manual_print(FILE *out)
{
	struct class root = { 0 }, host = { 0 }, vm = { 0 }, container = { 0 }, exec = { 0 };
	struct class image = { .name = "image" }, net = { .name = "net" }, vcpu = { 0 };
	struct err e = { 0 };
	int rc = root_files(&root, &e);

	if (rc == 0)
		rc = host_files(&host, &e);
	if (rc == 0)
		rc = machine_files(KIND_VM, &vm, &e);
	if (rc == 0)
		rc = machine_files(KIND_CONTAINER, &container, &e);
	if (rc == 0)
		rc = image_files(&image, &e);
	if (rc == 0)
		rc = net_files(&net, &e);
	if (rc == 0)
		rc = exec_files(&exec, &e);
	if (rc == 0)
		rc = vcpu_class(&vcpu, &e);
	if (rc == 0) {
		fputs(head, out);
		print_section(out, "FILES OF THE ROOT", &root, NULL, true, WHICH_ALL);
		print_section(out, "FILES OF HOST", &host, NULL, true, WHICH_ALL);
		print_section(out, "FILES OF EVERY MACHINE", &vm, &container, true, WHICH_OTHERS);
		print_section(out, "SETTINGS OF EVERY MACHINE", &vm, &container, true,
			      WHICH_SETTINGS);
		print_section(out, "SETTINGS OF A VIRTUAL MACHINE", &vm, &container, false,
			      WHICH_ALL);
		print_section(out, "SETTINGS OF A CONTAINER", &container, &vm, false, WHICH_ALL);
		rc = print_parts(out, &e);
		print_section(out, "FILES OF A VCPU", &vcpu, NULL, true, WHICH_ALL);
		print_section(out, "FILES OF AN IMAGE", &image, NULL, true, WHICH_OTHERS);
		print_section(out, "SETTINGS OF AN IMAGE", &image, NULL, true, WHICH_SETTINGS);
		print_section(out, "FILES OF A SWITCH", &net, NULL, true, WHICH_OTHERS);
		print_section(out, "SETTINGS OF A SWITCH", &net, NULL, true, WHICH_SETTINGS);
		print_section(out, "FILES OF A SESSION", &exec, NULL, true, WHICH_OTHERS);
		print_section(out, "SETTINGS OF A SESSION", &exec, NULL, true, WHICH_SETTINGS);
		fputs(tail, out);
	}
	free(root.files);
	free(host.files);
	free(vm.files);
	free(container.files);
	free(image.files);
	free(net.files);
	free(exec.files);
	free(vcpu.files);
	return rc < 0 || ferror(out) ? -1 : 0;
}
