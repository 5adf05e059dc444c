/* The files of a session: see exec.h. */
#include <errno.h>
#include <unistd.h>

#include "backends/monitor/wire.h"
#include "fs/attr/attr_files.h"
#include "fs/common_files.h"
#include "fs/exec/exec.h"
#include "fs/store/keptlog.h"

/* ---- settings ---- */

static void show_setting(struct object *o, const struct file *f, struct text *out)
{
	attr_show(f->attr, &object_exec(o)->config, out);
}

static int write_setting(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	const struct attr *a = h->file->attr;
	struct exec *x = object_exec(h->object);
	struct exec_config before;
	int rc;

	if (x->phase == EXEC_STARTING || x->phase == EXEC_RUNNING)
		return err_set(e, -EBUSY, "%s: cannot change while the session is %s", a->name,
			       exec_words[x->phase]);
	rc = schema_copy(&exec_schema, &x->config, &before, e);
	if (rc < 0)
		return rc;
	rc = attr_store(a, &x->config, data, len, e);
	if (rc == 0) {
		rc = exec_save(x, e);
		if (rc < 0) {
			schema_free(&exec_schema, &x->config);
			x->config = before;
			return rc;
		}
		object_changed(&x->object, a->name);
	}
	schema_free(&exec_schema, &before);
	return rc;
}

/* ---- the others ---- */

static void show_exit(struct object *o, const struct file *f, struct text *out)
{
	const struct exec *x = object_exec(o);
	char text[320];

	if (!x->has_ending)
		return;
	ending_print(&x->ending, text, sizeof(text));
	text_addf(out, "%s\n", text);
}

static void show_pid(struct object *o, const struct file *f, struct text *out)
{
	if (object_exec(o)->pid > 0)
		text_addf(out, "%d\n", object_exec(o)->pid);
}

static off_t log_size(struct object *o, const struct file *f)
{
	int dir = exec_dir(object_exec(o));
	off_t size = dir < 0 ? 0 : keptlog_size(dir, f->name);

	if (dir >= 0)
		close(dir);
	return size;
}

static ssize_t log_read(struct object *o, const struct file *f, char *buf, size_t size, off_t at)
{
	int dir = exec_dir(object_exec(o));
	ssize_t n = dir < 0 ? -err_public(-dir) : keptlog_read(dir, f->name, buf, size, at);

	if (dir >= 0)
		close(dir);
	return n;
}

static const struct file rows[] = {
	{ .name = "ctl",
	  .changes = CHANGE_STATE,
	  .mode = 0644,
	  .show = exec_ctl_show,
	  .write = exec_ctl_write,
	  .doc = "Reading lists the verbs that are valid now; writing one does it: start, kill, "
		 "signal N, eof (stdin has its end). start returns when the program runs, or with "
		 "the reason why it does not; what an earlier run has printed is gone then." },
	{ COMMON_STATE,
	  .doc = "One word: stopped, starting, running or failed. A session ends when its process "
		 "does, at the latest with its container; it goes on while there is no daemon." },
	{ COMMON_WAIT, .doc = "As a machine's." },
	{ .name = "exit",
	  .changes = CHANGE_STATE,
	  .mode = 0444,
	  .show = show_exit,
	  .doc = "How it ended: exited N, signaled N, or failed: and why." },
	{ COMMON_ERROR, .doc = "The last refusal." },
	{ .name = "pid",
	  .changes = CHANGE_STATE,
	  .mode = 0444,
	  .show = show_pid,
	  .doc = "Its process, as the host sees it. Empty when it does not run." },
	{ .name = "stdin",
	  .mode = 0200,
	  .write = exec_stdin_write,
	  .doc = "What it reads. A write returns when all but 64 KiB was read; closing the file is "
		 "not the end of it, the verb eof is." },
	{ .name = "stdout",
	  .mode = 0400,
	  .kind = FILE_LOG,
	  .event = true,
	  .log_size = log_size,
	  .log_read = log_read,
	  .doc = "What it has printed; the last 1 MiB at least is kept, also after its end." },
	{ .name = "stderr",
	  .mode = 0400,
	  .kind = FILE_LOG,
	  .event = true,
	  .log_size = log_size,
	  .log_read = log_read,
	  .doc = "Likewise as errors." },
};

int exec_files(struct class *ret, struct err *e)
{
	int rc = files_init(ret, rows, sizeof(rows) / sizeof(rows[0]), schema_count(&exec_schema),
			    e);

	if (rc < 0)
		return rc;
	attr_files(ret, &exec_schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	return 0;
}
