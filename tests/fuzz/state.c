/*
 * The state directory as somebody else left it. The input is an archive: a line "== PATH" begins a
 * file, "=/ PATH" makes a directory. The daemon starts whatever there is; what cannot be read is
 * one failed machine with a sentence, which can be removed; and the next daemon finds the same.
 */
#include <sched.h>

#include "backends/base/text.h"
#include "fs/front/fuse.h"
#include "tests/fuzz/daemon.h"

#define PATH_BYTES 300

/* Only below the state directory, however the name is made. */
static bool path_good(const char *path)
{
	return *path && *path != '/' && strcmp(path, "..") && strncmp(path, "../", 3) &&
	       !strstr(path, "/..");
}

static void make_dirs(int root, const char *path)
{
	char part[PATH_BYTES];

	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		mkdirat(root, part, 0700);
	}
}

static void unpack_one(int root, bool dir, const char *path, const char *data, size_t len)
{
	int fd;

	if (!path_good(path))
		return;
	make_dirs(root, path);
	if (dir) {
		mkdirat(root, path, 0700);
		return;
	}
	fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)!write(fd, data, len);
	close(fd);
}

static const char *header(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (end - p > 3 && p[0] == '=' && (p[1] == '=' || p[1] == '/') && p[2] == ' ')
			return p;
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
	}
	return end;
}

static void unpack(const char *data, size_t len)
{
	const char *end = data + len, *p = header(data, end);
	char path[PATH_BYTES];
	int root;

	fuzz_place();
	snprintf(path, sizeof(path), "%s/state", fuzz_root);
	mkdir(path, 0700);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (p < end) {
		const char *line = memchr(p, '\n', (size_t)(end - p)), *next;
		const char *body = line ? line + 1 : end;

		snprintf(path, sizeof(path), "%.*s", (int)((line ? line : end) - p - 3), p + 3);
		next = header(body, end);
		if (!memchr(p + 3, '\0', (size_t)((line ? line : end) - p - 3)))
			unpack_one(root, p[1] == '/', path, body, (size_t)(next - body));
		p = next;
	}
	close(root);
}

/* Everything that can be read of a machine, so that the next daemon's can be compared. */
static void describe(struct object *o, struct text *out)
{
	struct text text = TEXT_INIT;
	struct stat st;

	for (size_t i = 0; i < o->class->nfiles; i++) {
		const struct file *f = &o->class->files[i];
		struct node n = { o, f };

		node_stat(n, &st);
		fuzz_check((st.st_mode & 07777 & ~0777u) == 0);
		if (f->kind == FILE_LINK || !strcmp(f->name, "events"))
			continue;
		if (f->kind == FILE_DIR)
			continue;
		text_addf(out, "%s %o %u %u: %s\n", f->name, st.st_mode, st.st_uid, st.st_gid,
			  fuzz_cat(o, f->name, &text));
	}
	for (size_t i = 0; i < o->nchildren; i++) {
		text_addf(out, "%s %llu\n", o->children[i]->name,
			  (unsigned long long)o->children[i]->id);
		fuzz_check(object_name_valid(o->children[i]->name));
		describe(o->children[i], out);
	}
	text_free(&text);
}

static void check_machine(struct object *o, struct text *out)
{
	struct text text = TEXT_INIT;
	const char *state = fuzz_cat(o, "state", &text);

	fuzz_check(object_name_valid(o->name));
	fuzz_check(!strcmp(state, "stopped\n") || !strcmp(state, "failed\n"));
	if (!strcmp(state, "failed\n")) {
		fuzz_cat(o, "error", &text);
		fuzz_check(!strncmp(text_str(&text), "EIO ", 4) && text.len > 5);
		fuzz_check(strchr(text.data, '\n') == text.data + text.len - 1);
	}
	fuzz_cat(o, "uuid", &text);
	fuzz_check(text.len == 37);
	text_addf(out, "%llu ", (unsigned long long)o->id);
	describe(o, out);
	text_free(&text);
}

static bool check_tree(struct text *out)
{
	struct err e = { 0 };
	struct stat st;

	if (fuzz_daemon_start(&e) < 0) {
		/* Only a place that is no directory ends it, with a sentence. */
		fuzz_check(strstr(e.text, "state directory: ") &&
			   strstr(e.text, "Not a directory"));
		return false;
	}
	node_stat((struct node){ .object = fuzz_daemon->root }, &st);
	text_addf(out, "%o %u\n", st.st_mode, st.st_uid);
	for (int kind = 0; kind < 2; kind++) {
		struct object *dir = fuzz_daemon->machines[kind];

		for (size_t i = 0; i < dir->nchildren; i++)
			check_machine(dir->children[i], out);
	}
	describe(fuzz_daemon->images, out);
	describe(fuzz_daemon->nets, out);
	return true;
}

static void one(const char *data, size_t len)
{
	struct text first = TEXT_INIT, second = TEXT_INIT;
	struct node n;

	unpack(data, len);
	if (check_tree(&first)) {
		fuzz_daemon_stop(NULL, 0);
		fuzz_check(check_tree(&second));
		/* What failed because nobody could say who it is gets a new identity each time. */
		if (!strstr(text_str(&first), " meta on disk"))
			fuzz_check(!strcmp(text_str(&first), text_str(&second)));
		for (int kind = 0; kind < 2; kind++) {
			struct object *dir = fuzz_daemon->machines[kind];

			fuzz_check(node_mkdir(node_of(dir), "new.machine", (struct caller){ 0, 0 },
					      0755, &n) == 0 ||
				   object_child(dir, "new.machine"));
			while (dir->nchildren)
				fuzz_check(node_rmdir(node_of(dir), dir->children[0]->name,
						      (struct caller){ 0 }) == 0);
		}
		fuzz_daemon_stop(NULL, 0);
	}
	text_free(&first);
	text_free(&second);
	fuzz_sweep();
}

int main(int argc, char **argv)
{
	/* Switches come back with the daemon: not on this host. */
	(void)unshare(CLONE_NEWNET);
	return fuzz_main(argc, argv, one);
}
