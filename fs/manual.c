/* machinefs(5): see manual.h. The frame is here, what it frames is in the tables. */
#include "fs/manual.h"

#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/machine_files.h"
#include "fs/root_files.h"

static const char head[] =
	".\\\" Generated from the tables in fs/: change them, not this page.\n"
	".Dd $Mdocdate$\n.Dt MACHINEFS 5\n.Os machinefs\n"
	".Sh NAME\n.Nm machinefs\n.Nd virtual machines and containers as files\n"
	".Sh DESCRIPTION\n"
	"Each virtual machine is a directory\n.Pa vm/NAME ,\n"
	"each container a directory\n.Pa container/NAME .\n"
	"mkdir makes one with working defaults, rmdir destroys it, mv renames it,\n"
	"chown and chmod delegate it.\n"
	"One file is one setting or one figure; reading returns what writing accepts.\n"
	"Sizes are bytes, accepted with K, M, G and T;\n.Ql max\nis no limit.\n"
	"A write is one transaction: it is done, and on disk, when it returns, or it is refused\n"
	"and has changed nothing.\n"
	"No read blocks, and no read changes anything.\n"
	".Ss Errors\n"
	"A refused operation leaves a sentence in\n.Pa error\nof the machine, or of the root for\n"
	"operations on no machine.\n"
	"A descriptor opened for reading and writing reads back its own last refusal.\n"
	".Bl -tag -width EACCES\n"
	".It EINVAL\nnot the syntax of this file; out of bounds; unknown verb; bad name\n"
	".It EBUSY\nnot in this state; in use\n"
	".It EEXIST\nalready so; the name is taken\n"
	".It ENOENT\na path or object named in the value does not exist\n"
	".It EPERM , EACCES\nnot permitted; a path that the owner may not open\n"
	".It ENXIO\nthis host or kind of machine cannot; the monitor is gone\n"
	".It ENOSPC\nthe host has not got the memory, CPUs or disk\n"
	".It EIO\nit failed below; the sentence says where\n"
	".It ESTALE\nthe object was removed\n"
	".El\n";

static const char tail[] = ".Sh SEE ALSO\n.Xr machinefs 8 , .Xr cgroups 7\n";

/* A text line that begins with a dot or a quote would be a request to the formatter. */
static void print_text(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

static void print_file(FILE *out, const struct file *f)
{
	fprintf(out, ".It Pa %s\n", f->name);
	if (f->attr)
		fprintf(out, ".Pq %s%s%s%s\n", f->attr->type->name,
			f->attr->initial ? ", default " : "",
			f->attr->initial && strlen(f->attr->initial) < 40 ? f->attr->initial : "",
			f->attr->flags & ATTR_LIVE ? ", may change while it runs" : "");
	else
		fprintf(out, ".Pq %s\n",
			f->kind == FILE_LINK  ? "link"
			: f->write && f->show ? "read, write"
			: f->write	      ? "write"
					      : "read only");
	print_text(out, f->doc);
	if (f->attr && f->attr->type->format) {
		print_text(out, f->attr->type->format);
		if (f->attr->good)
			fprintf(out, "For example:\n.Ql %s\n", f->attr->good);
	}
}

static int print_class(FILE *out, const char *title, struct class *c)
{
	fprintf(out, ".Sh %s\n.Bl -tag -width Ds\n", title);
	for (size_t i = 0; i < c->nfiles; i++)
		print_file(out, &c->files[i]);
	fputs(".El\n", out);
	free(c->files);
	*c = (struct class){ 0 };
	return 0;
}

static int root_section(struct class *c, struct err *e)
{
	return root_files(c, e);
}

static int vm_section(struct class *c, struct err *e)
{
	return machine_files(KIND_VM, c, e);
}

static int container_section(struct class *c, struct err *e)
{
	return machine_files(KIND_CONTAINER, c, e);
}

int manual_print(FILE *out)
{
	static const struct {
		const char *title;
		int (*files)(struct class *c, struct err *e);
	} sections[] = {
		{ "THE ROOT", root_section },
		{ "HOST", host_files },
		{ "A VIRTUAL MACHINE", vm_section },
		{ "A CONTAINER", container_section },
	};
	struct class c = { 0 };
	struct err e = { 0 };

	fputs(head, out);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (sections[i].files(&c, &e) < 0 || print_class(out, sections[i].title, &c) < 0)
			return -1;
	fputs(tail, out);
	return ferror(out) ? -1 : 0;
}
