/*
 * The node layer: operations of clients, monitors and administrators in the order that the input
 * says, against a model of the tree that says what each must answer. What the model knows of a
 * machine, what its files say, and what the next daemon finds must be one.
 */
#include "backends/cgroup/cgroup.h"
#include "fs/attr/attr.h"
#include "fs/front/fuse.h"
#include "fs/store/config_yaml.h"
#include "tests/fuzz/daemon.h"

#define MACHINES 12
#define HANDLES	 12
#define REQUESTS 48
#define KEPT	 48
#define OWNED	 4 /* files whose owner and mode the model follows, and the directory */

static const char *const names[] = { "a", "b", "web-1", "x.y", "Z" };
static const char *const not_names[] = {
	"",    ".",	   "-a", "a b",
	"a/b", "\xc3\xa4", "..", "0123456789012345678901234567890123456789012345678901234567890123"
};
static const char *const owned_files[OWNED] = { NULL, "ctl", "label", "state" };

enum asked { ASKED_NOTHING, ASKED_START, ASKED_VERB, ASKED_WAIT };

struct model {
	bool there; /* in the tree */
	struct object *object;
	enum machine_kind kind;
	const char *name;
	enum machine_state state, before_start;
	bool failed_last; /* how its last run ended */
	struct machine_config config;
	struct owner owners[OWNED];
	bool own[OWNED]; /* has one that is not the directory's */
	uint64_t ino;
	char uuid[40];
	struct timespec changed[OWNED]; /* the mtime that was last seen */
};

struct open_file {
	struct handle *handle;
	struct model *model;
	bool gone;
	struct text draft;
};

/* What a kernel keeps of a file. */
struct kept {
	uint64_t ino; /* 0: nothing */
	struct node node;
	struct stat st;
	char *content; /* owned */
};

struct pending {
	struct fuzz_request f;
	struct model *model;
	enum asked asked;
	enum machine_state wanted;
	int expected; /* PENDING, or what it must have been answered */
	bool used;
};

static struct model models[MACHINES];
static struct open_file files[HANDLES];
static struct pending pendings[REQUESTS];
static struct kept kept[KEPT];
static const char *input;
static size_t input_left;
static unsigned starts;

static unsigned next(unsigned bound)
{
	unsigned value;

	if (!input_left)
		return 0;
	input_left--;
	value = (unsigned char)*input++;
	return bound ? value % bound : value;
}

/* ---- the model ---- */

static bool active(const struct model *m)
{
	return m->state != STATE_STOPPED && m->state != STATE_FAILED;
}

static bool held(const struct model *m)
{
	return m->state == STATE_PREPARING || m->state == STATE_PREPARED;
}

static struct model *pick(void)
{
	struct model *m = &models[next(MACHINES)];

	return m->there ? m : NULL;
}

static struct model *model_find(enum machine_kind kind, const char *name)
{
	for (int i = 0; i < MACHINES; i++)
		if (models[i].there && models[i].kind == kind && !strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

static struct peer *peer_of(const struct model *m)
{
	char name[96];

	snprintf(name, sizeof(name), "%s/%s", m->kind == KIND_VM ? "vm" : "container", m->name);
	return peer_find(name);
}

static unsigned model_parked(void)
{
	unsigned n = 0;

	for (int i = 0; i < REQUESTS; i++)
		n += pendings[i].used && pendings[i].asked == ASKED_WAIT && !pendings[i].f.answers;
	return n;
}

/* 0: what was written is done. */
static void model_answer(struct model *m, enum asked asked, int result)
{
	for (int i = 0; i < REQUESTS; i++) {
		struct pending *p = &pendings[i];

		if (p->used && p->model == m && p->asked == asked && p->expected == PENDING)
			p->expected = result ? result : (int)p->f.request.len;
	}
}

/* A state that was reached; a client of `wait` learns of each. */
static void model_state(struct model *m, enum machine_state state)
{
	if (m->state == state)
		return;
	m->state = state;
	for (int i = 0; i < REQUESTS; i++) {
		struct pending *p = &pendings[i];

		if (!p->used || p->model != m || p->asked != ASKED_WAIT || p->expected != PENDING)
			continue;
		if (p->wanted == state)
			p->expected = (int)p->f.request.len;
		else if (!active(m))
			p->expected = -EIO;
	}
}

static struct node model_node(const struct model *m, unsigned i)
{
	return (struct node){ m->object, i ? class_file(m->object->class, owned_files[i]) : NULL };
}

static struct owner model_owner(const struct model *m, unsigned i)
{
	struct owner own = m->owners[0];

	if (i == 0 || m->own[i])
		return m->owners[i];
	own.mode = model_node(m, i).file->mode;
	return own;
}

/* What machine_configure() must say of a configuration, as far as the model can tell. */
static int model_accepts(const struct model *m, const struct machine_config *next)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(machine_schema(m->kind), i)); i++)
		if (!attr_equal(a, &m->config, next) && active(m) && !(a->flags & ATTR_LIVE))
			return -EBUSY;
	return 0;
}

/* ---- what the kernel keeps ---- */

static void kept_drop(struct kept *k)
{
	free(k->content);
	*k = (struct kept){ .ino = 0 };
}

static void kept_invalidate(uint64_t ino)
{
	for (int i = 0; i < KEPT; i++)
		if (kept[i].ino == ino)
			kept_drop(&kept[i]);
}

static void kept_drop_object(const struct object *o)
{
	for (int i = 0; i < KEPT; i++)
		if (kept[i].ino && (!o || kept[i].node.object == o))
			kept_drop(&kept[i]);
}

static void op_getattr(void)
{
	struct model *m = pick();
	struct kept *k = &kept[next(KEPT)];
	struct object *o = m && next(4) ? m->object : fuzz_daemon->root;
	struct node n = { o, &o->class->files[next(0) % o->class->nfiles] };
	struct text text = TEXT_INIT;

	if (n.file->kind == FILE_LINK || k->ino || !node_keep(n))
		return;
	*k = (struct kept){ .ino = node_ino(n), .node = n };
	node_stat(n, &k->st);
	fuzz_cat(o, n.file->name, &text);
	k->content = strdup(text_str(&text));
	text_free(&text);
}

/* Nothing of it has changed unless the kernel was told. */
static void check_kept(void)
{
	struct text text = TEXT_INIT;
	struct stat st;

	for (int i = 0; i < KEPT; i++) {
		const struct kept *k = &kept[i];

		if (!k->ino)
			continue;
		node_stat(k->node, &st);
		if (memcmp(&st, &k->st, sizeof(st)))
			printf("# %s of %s has changed\n", k->node.file->name,
			       k->node.object->name);
		fuzz_check(!memcmp(&st, &k->st, sizeof(st)));
		fuzz_cat(k->node.object, k->node.file->name, &text);
		fuzz_check(!strcmp(text_str(&text), k->content));
	}
	text_free(&text);
}

/* ---- what must hold after each operation ---- */

static void check_machine(struct model *m)
{
	struct text text = TEXT_INIT;
	struct node n = { 0 }, found;
	struct stat st;

	fuzz_check(node_lookup(node_of(fuzz_daemon->machines[m->kind]), m->name,
			       (struct caller){ 0 }, &n) == 0 &&
		   !n.file);
	fuzz_check(n.object == m->object && node_ino(n) == m->ino);
	fuzz_check(node_find(fuzz_daemon, m->ino, &found) == 0 && found.object == n.object);
	fuzz_cat(n.object, "state", &text);
	fuzz_check(text.len && text.data[text.len - 1] == '\n');
	text.data[text.len - 1] = '\0';
	if (strcmp(text.data, state_words[m->state]))
		printf("# %s is %s, not %s\n", m->name, text.data, state_words[m->state]);
	fuzz_check(!strcmp(text.data, state_words[m->state]));
	fuzz_cat(n.object, "uuid", &text);
	fuzz_check(!strcmp(text_str(&text), m->uuid));
	for (unsigned i = 0; i < OWNED; i++) {
		struct owner own = model_owner(m, i);
		struct node file = model_node(m, i);

		node_stat(file, &st);
		fuzz_check(st.st_uid == own.uid && st.st_gid == own.gid &&
			   (st.st_mode & 07777) == own.mode);
		/* mtime never goes back. */
		fuzz_check(st.st_mtim.tv_sec > m->changed[i].tv_sec ||
			   (st.st_mtim.tv_sec == m->changed[i].tv_sec &&
			    st.st_mtim.tv_nsec >= m->changed[i].tv_nsec));
		m->changed[i] = st.st_mtim;
	}
	text_free(&text);
}

static void check_config(struct model *m)
{
	struct text text = TEXT_INIT, wanted = TEXT_INIT;
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(machine_schema(m->kind), i)); i++) {
		text_clear(&wanted);
		attr_show(a, &m->config, &wanted);
		fuzz_cat(m->object, a->name, &text);
		fuzz_check(!strcmp(text_str(&text), text_str(&wanted)));
	}
	text_free(&text);
	text_free(&wanted);
}

static void check_stat(void)
{
	unsigned count[2] = { 0 }, running = 0;
	struct text text = TEXT_INIT, wanted = TEXT_INIT;
	struct stat st;

	for (int i = 0; i < MACHINES; i++)
		if (models[i].there) {
			count[models[i].kind]++;
			running += active(&models[i]);
		}
	fuzz_cat(fuzz_daemon->root, "stat", &text);
	text_addf(&wanted, "vms %u\ncontainers %u\nrunning %u\n", count[0], count[1], running);
	fuzz_check(!strncmp(text_str(&text), text_str(&wanted), wanted.len));
	text_clear(&wanted);
	text_addf(&wanted, "\nwaiting %u\n", model_parked());
	fuzz_check(strstr(text_str(&text), text_str(&wanted)));
	for (int kind = 0; kind < 2; kind++) {
		node_stat((struct node){ .object = fuzz_daemon->machines[kind] }, &st);
		fuzz_check(st.st_nlink == 2 + count[kind]);
	}
	text_free(&text);
	text_free(&wanted);
}

static void check_request(const struct pending *p)
{
	bool good = (p->expected == PENDING) == (p->f.answers == 0) &&
		    (p->expected == PENDING || p->f.result == p->expected);

	if (!good)
		printf("# request of sort %d, %zu bytes, machine %s in state %s: answered %d times "
		       "with %d instead of %d; %s",
		       p->asked, p->f.request.len, p->model->name, state_words[p->model->state],
		       p->f.answers, p->f.result, p->expected,
		       p->model->there ? text_str(&p->model->object->refusal) : "\n");
	fuzz_check(good);
}

static void check_requests(void)
{
	for (int i = 0; i < REQUESTS; i++)
		if (pendings[i].used) {
			check_request(&pendings[i]);
			pendings[i].used = !pendings[i].f.answers;
		}
}

static void check_all(void)
{
	check_requests();
	for (int i = 0; i < MACHINES; i++)
		if (models[i].there)
			check_machine(&models[i]);
	check_stat();
	check_kept();
}

/* A refusal leaves its errno's name in `error`. */
static void check_refused(struct object *o, int rc)
{
	struct text text = TEXT_INIT;

	fuzz_cat(o, "error", &text);
	fuzz_check(!strncmp(text_str(&text), err_name(rc), strlen(err_name(rc))));
	text_free(&text);
}

/* ---- operations on names ---- */

static void model_new(enum machine_kind kind, const char *name, const struct owner *owner,
		      struct node n)
{
	struct text text = TEXT_INIT;

	for (int i = 0; i < MACHINES; i++) {
		struct model *m = &models[i];

		if (m->there)
			continue;
		*m = (struct model){
			.there = true, .object = n.object, .kind = kind, .name = name
		};
		m->owners[0] = *owner;
		m->ino = node_ino(n);
		fuzz_check(config_init(kind, &m->config, NULL) == 0);
		fuzz_cat(n.object, "uuid", &text);
		snprintf(m->uuid, sizeof(m->uuid), "%s", text_str(&text));
		break;
	}
	text_free(&text);
}

static bool models_full(void)
{
	for (int i = 0; i < MACHINES; i++)
		if (!models[i].there)
			return false;
	return true;
}

static void op_mkdir(void)
{
	struct object *dirs[] = { fuzz_daemon->machines[0], fuzz_daemon->machines[1],
				  fuzz_daemon->root, fuzz_daemon->host };
	unsigned dir = next(4), which = next(sizeof(names) / sizeof(names[0]) + 8);
	struct owner owner = { next(3) * 500, next(2) * 100, next(2) ? 0755 : 0700 };
	const char *name = which < 5 ? names[which] : not_names[which - 5];
	struct node n;
	int rc, wanted = dir > 1		 ? -EPERM
			 : which >= 5		 ? -EINVAL
			 : model_find(dir, name) ? -EEXIST
						 : 0;

	if (models_full())
		return;
	rc = node_mkdir(node_of(dirs[dir]), name, (struct caller){ owner.uid, owner.gid },
			owner.mode, &n);
	fuzz_check(rc == wanted);
	if (rc < 0)
		check_refused(fuzz_daemon->root, rc);
	else
		model_new(dir, name, &owner, n);
}

static void op_rmdir(void)
{
	unsigned kind = next(2), which = next(5);
	struct object *dir = fuzz_daemon->machines[kind];
	struct model *m = model_find(kind, names[which]);
	int rc;

	if (next(8) == 7) {
		fuzz_check(node_rmdir(node_of(fuzz_daemon->root), "vm", (struct caller){ 0 }) ==
			   -EPERM);
		fuzz_check(node_rmdir(node_of(fuzz_daemon->root), "stat", (struct caller){ 0 }) ==
			   -ENOTDIR);
		return;
	}
	rc = node_rmdir(node_of(dir), names[which], (struct caller){ 0 });
	fuzz_check(rc == (!m ? -ENOENT : active(m) ? -EBUSY : 0));
	if (rc < 0)
		return;
	model_answer(m, ASKED_WAIT, -EIO);
	m->there = false;
	kept_drop_object(m->object);
	config_free(&m->config);
	for (int i = 0; i < HANDLES; i++)
		if (files[i].handle && files[i].model == m)
			files[i].gone = true;
}

static void op_rename(void)
{
	unsigned kind = next(2), from = next(5), to = next(13);
	const char *name = to < 5 ? names[to] : not_names[to - 5];
	struct object *dir = fuzz_daemon->machines[kind];
	bool elsewhere = next(8) == 7;
	struct model *m = model_find(kind, names[from]);
	int rc, wanted;

	rc = node_rename(node_of(dir), names[from],
			 node_of(elsewhere ? fuzz_daemon->machines[!kind] : dir), name);
	wanted = !m			  ? -ENOENT
		 : elsewhere		  ? -EPERM
		 : to == from		  ? 0
		 : to >= 5		  ? -EINVAL
		 : model_find(kind, name) ? -EEXIST
					  : 0;
	fuzz_check(rc == wanted);
	if (rc == 0) {
		struct peer *p = peer_of(m);

		if (p)
			snprintf(p->name, sizeof(p->name), "container/%s", name);
		m->name = name;
	}
}

/* The directory's files go with it, but for those of others. */
static void model_follow(struct model *m, struct owner from, struct owner to)
{
	for (unsigned i = 1; i < OWNED; i++) {
		if (m->own[i] && m->owners[i].uid == from.uid)
			m->owners[i].uid = to.uid;
		if (m->own[i] && m->owners[i].gid == from.gid)
			m->owners[i].gid = to.gid;
	}
}

static void op_chown(void)
{
	const struct caller root = { 0, 0 };
	struct model *m = pick();
	unsigned i = next(OWNED), what = next(8);
	struct owner owner = { next(4) * 500, next(3) * 100, 0 }, old;
	mode_t modes[] = { 0644, 0600, 0, 0666, 0755, 02755, 0777, 01777 };
	struct err e = { 0 };
	struct node n;
	int rc;

	owner.mode = modes[next(8)];
	if (!m)
		return;
	n = model_node(m, i);
	rc = node_chown(n, (int)what, &owner, root, &e);
	if ((what & NODE_SET_MODE) && owner.mode & ~(i ? 0666u : 01777u)) {
		fuzz_check(rc == -EPERM && e.code == rc && *e.text);
		return;
	}
	old = model_owner(m, i);
	if (i == 0 && (what & NODE_SET_UID) && owner.uid != old.uid && active(m)) {
		fuzz_check(rc == -EBUSY && e.code == rc && *e.text);
		return;
	}
	fuzz_check(rc == 0);
	kept_invalidate(node_ino(n)); /* it was this kernel that changed it */
	m->owners[i] = old;
	m->own[i] = true;
	if (what & NODE_SET_MODE)
		m->owners[i].mode = owner.mode;
	if (what & NODE_SET_UID)
		m->owners[i].uid = owner.uid;
	if (what & NODE_SET_GID)
		m->owners[i].gid = owner.gid;
	if (i == 0)
		model_follow(m, old, m->owners[0]);
}

static void op_forbid(void)
{
	struct model *m = pick();

	if (m) {
		fuzz_check(node_forbid(node_of(m->object), "create", names[next(5)]) == -EPERM);
		check_refused(m->object, -EPERM);
	}
}

/* ---- operations on files ---- */

static void op_open(void)
{
	struct open_file *f = &files[next(HANDLES)];
	struct model *m = pick();
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	unsigned file = next(0);
	struct node n;
	int flag = flags[next(3)], rc;

	if (!m || f->handle)
		return;
	n = (struct node){ m->object, &m->object->class->files[file % m->object->class->nfiles] };
	rc = node_open(n, flag, (struct caller){ 0, 0 }, &f->handle);
	fuzz_check(rc == (n.file->kind == FILE_DIR	       ? -EISDIR
			  : flag != O_RDONLY && !n.file->write ? -EPERM
							       : 0));
	if (rc < 0) {
		f->handle = NULL;
		if (rc == -EPERM)
			check_refused(m->object, rc);
		return;
	}
	f->model = m;
	f->gone = false;
}

/* A machine whose name the input chooses more often: by handle. */
static struct open_file *pick_file(void)
{
	struct open_file *f = &files[next(HANDLES)];

	return f->handle ? f : NULL;
}

static void op_read(void)
{
	struct open_file *f = pick_file();
	size_t size = next(2) ? 65536 : next(0);
	off_t at = next(2) ? next(0) : 0;
	struct text wanted = TEXT_INIT;
	const char *data;
	ssize_t n;

	if (!f)
		return;
	n = handle_read(f->handle, size, at, &data);
	if (f->gone) {
		fuzz_check(n == -ESTALE);
		return;
	}
	fuzz_check(n >= 0 && (size_t)n <= size);
	if (!at && f->handle->file->attr &&
	    !(f->handle->refusal && (f->handle->flags & O_ACCMODE) == O_RDWR)) {
		attr_show(f->handle->file->attr, &f->model->config, &wanted);
		fuzz_check((size_t)n == (wanted.len < size ? wanted.len : size) &&
			   !memcmp(data, text_str(&wanted), (size_t)n));
	}
	text_free(&wanted);
}

static struct pending *pending_new(struct model *m, enum asked asked)
{
	for (int i = 0; i < REQUESTS; i++)
		if (!pendings[i].used) {
			pendings[i] = (struct pending){
				.used = true, .model = m, .asked = asked, .expected = PENDING
			};
			fuzz_request_init(&pendings[i].f);
			return &pendings[i];
		}
	return NULL;
}

/* Writes through a handle of its own; returns the result, or PENDING. */
static struct pending *put(struct model *m, const char *file, const char *text, enum asked asked)
{
	static struct pending none;
	struct pending *p = pending_new(m, asked);
	struct node n;

	if (!p)
		return &none;
	fuzz_check(node_lookup(node_of(m->object), file, (struct caller){ 0 }, &n) == 0);
	for (int i = 0; i < HANDLES; i++)
		if (!files[i].handle) {
			fuzz_check(node_open(n, O_RDWR, (struct caller){ 0, 0 },
					     &files[i].handle) == 0);
			files[i].model = m;
			files[i].gone = false;
			handle_write(files[i].handle, &p->f.request, text, strlen(text), 0);
			kept_invalidate(node_ino(n)); /* as the kernel does by itself */
			return p;
		}
	p->used = false;
	return &none;
}

/* A monitor on a thread cannot be played; the others make the daemon start and remove. */
static bool acts_by_itself(const struct attr *a)
{
	static const char *const names_of[] = { "isolation", "autostart", "restart", "ephemeral" };

	for (size_t i = 0; i < sizeof(names_of) / sizeof(names_of[0]); i++)
		if (!strcmp(a->name, names_of[i]))
			return true;
	return false;
}

static void op_setting(void)
{
	struct model *m = pick();
	const struct schema *schema = m ? machine_schema(m->kind) : NULL;
	const struct attr *a = m ? schema_attr(schema, next(0) % schema_count(schema)) : NULL;
	bool good = next(4) != 0;
	struct machine_config after;
	struct pending *p;
	struct err e = { 0 };
	int rc;

	if (!a || acts_by_itself(a))
		return;
	fuzz_check(config_copy(&m->config, &after, &e) == 0);
	rc = attr_store(a, &after, good ? a->good : a->bad, strlen(good ? a->good : a->bad), &e);
	fuzz_check((rc == 0) == good);
	/* What an engine has to act on waits for one: tests/fs/parts.sh has that. */
	if (rc == 0 && active(m) && config_tag(&after) != config_tag(&m->config)) {
		config_free(&after);
		return;
	}
	p = put(m, a->name, good ? a->good : a->bad, ASKED_NOTHING);
	if (p->used) {
		fuzz_check(p->f.answers == 1);
		p->expected = rc < 0 ? rc : model_accepts(m, &after);
		if (p->expected == 0)
			p->expected = (int)p->f.request.len;
		/* Of paths and of authority the model knows nothing. */
		if (p->expected > 0 && p->f.result < 0)
			fuzz_check(a->flags & (ATTR_FILE_PATH | ATTR_DIR_PATH) || m->owners[0].uid);
		if (p->f.result < 0) {
			check_refused(m->object, p->f.result);
			p->expected = p->expected > 0 ? p->f.result : p->expected;
		} else {
			config_free(&m->config);
			m->config = after;
			check_config(m);
			return;
		}
	}
	config_free(&after);
	check_config(m);
}

/* A document, in one write or in parts; what is not closed by "..." is taken at the last close. */
static void op_document(void)
{
	static const char *const parts[] = { "label: {a: b}\n",	     "cpu.weight: 7\n",
					     "cpu.weight: 8\n...\n", "pids.max: max\n",
					     "cpu.weight: no\n",     "...\n",
					     "hostname: x\n",	     "boot.cmdline: y\n" };
	struct open_file *f = pick_file();
	const char *part = parts[next(8)];
	struct machine_config after;
	struct fuzz_request w;
	struct err e = { 0 };
	int rc;

	if (!f || f->gone || strcmp(f->handle->file->name, "config.yaml") ||
	    (f->handle->flags & O_ACCMODE) == O_RDONLY || f->handle->draft_bad)
		return;
	text_add(&f->draft, part);
	fuzz_request_init(&w);
	handle_write(f->handle, &w.request, part, strlen(part), 0);
	kept_invalidate(node_ino((struct node){ f->handle->object, f->handle->file }));
	fuzz_check(w.answers == 1);
	if (!strstr(part, "...")) {
		fuzz_check(w.result == (int)strlen(part));
		return;
	}
	rc = config_parse(f->model->kind, text_str(&f->draft), f->draft.len, &after, NULL, &e);
	text_clear(&f->draft);
	if (rc == 0) {
		rc = model_accepts(f->model, &after);
		if (rc == 0) {
			config_free(&f->model->config);
			f->model->config = after;
		} else {
			config_free(&after);
		}
	}
	fuzz_check(w.result == (rc < 0 ? rc : (int)strlen(part)));
	check_config(f->model);
}

static void op_flush(void)
{
	struct open_file *f = pick_file();
	struct machine_config after;
	struct fuzz_request w;
	int rc = 0;

	if (!f)
		return;
	fuzz_request_init(&w);
	handle_flush(f->handle, &w.request);
	fuzz_check(w.answers == 1);
	if (!f->gone && f->draft.len) {
		rc = config_parse(f->model->kind, text_str(&f->draft), f->draft.len, &after, NULL,
				  NULL);
		if (rc == 0) {
			rc = model_accepts(f->model, &after);
			config_free(&after);
		}
	}
	fuzz_check(w.result == rc);
}

static void close_file(struct open_file *f)
{
	struct model *m = f->model;
	struct machine_config after;

	for (int i = 0; i < REQUESTS; i++) /* the kernel releases no handle during its write */
		if (pendings[i].used && pendings[i].f.request.handle == f->handle)
			return;
	handle_close(f->handle);
	f->handle = NULL;
	if (!f->gone && f->draft.len &&
	    config_parse(m->kind, text_str(&f->draft), f->draft.len, &after, NULL, NULL) == 0) {
		if (model_accepts(m, &after) == 0) {
			config_free(&m->config);
			m->config = after;
		} else {
			config_free(&after);
		}
	}
	text_free(&f->draft);
	if (!f->gone)
		check_config(m);
}

static void op_close(void)
{
	struct open_file *f = pick_file();

	if (f)
		close_file(f);
}

static void op_poll(void)
{
	static int token;
	struct open_file *f = pick_file();
	unsigned events;

	if (!f)
		return;
	events = handle_poll(f->handle, &token);
	fuzz_check(!f->gone == !(events & POLLHUP));
}

/* ---- verbs and waits ---- */

static void op_wait(void)
{
	struct model *m = pick();
	enum machine_state wanted = next(STATE_COUNT);
	bool no_time = next(4) == 3;
	struct pending *p;
	char text[32];

	if (!m)
		return;
	snprintf(text, sizeof(text), "%s%s\n", state_words[wanted], no_time ? " 0" : "");
	p = put(m, "wait", text, ASKED_WAIT);
	if (!p->used)
		return;
	p->wanted = wanted;
	if (m->state == wanted)
		p->expected = (int)strlen(text);
	else if ((m->state == STATE_FAILED && wanted == STATE_STOPPED) ||
		 (m->state == STATE_STOPPED && wanted == STATE_FAILED))
		p->expected = -EIO;
	else if (no_time)
		p->expected = -EBUSY;
	fuzz_check((p->f.answers == 1) == (p->expected != PENDING && p->expected != -EBUSY));
}

static void op_interrupt(void)
{
	struct pending *p = &pendings[next(REQUESTS)];

	if (!p->used || p->f.answers)
		return;
	fuzz_check(p->f.request.cancel != NULL);
	fuzz_interrupt(&p->f);
	p->used = false;
}

/* What a start needs that has no control group, no path but "/", and nobody beside it. */
static bool can_start(const struct model *m)
{
	const struct machine_config *c = &m->config;

	return m->kind == KIND_CONTAINER && !m->owners[0].uid && !cgroup_limits_asked(c) &&
	       !c->container.join.n;
}

/* What is at rest is started, all the way or until it is to wait. */
static void begin(struct model *m, const char *verb)
{
	struct pending *p;

	p = put(m, "root", "/", ASKED_NOTHING);
	if (!p->used)
		return;
	p->expected = 1;
	fuzz_check(attr_store(attr_find(m->kind, "root"), &m->config, "/", 1, NULL) == 0);
	p = put(m, "seccomp", "none", ASKED_NOTHING);
	if (!p->used)
		return;
	p->expected = 4;
	fuzz_check(attr_store(attr_find(m->kind, "seccomp"), &m->config, "none", 4, NULL) == 0);
	p = put(m, "ctl", verb, ASKED_START);
	if (!p->used)
		return;
	starts++;
	m->before_start = m->state;
	model_state(m, STATE_STARTING);
}

/* One of those verbs to what is on its way already: its monitor is asked only where it waits. */
static void go_on(struct model *m, const char *verb, unsigned states)
{
	struct pending *p = put(m, "ctl", verb, ASKED_VERB);

	if (p->used && !(states & 1u << m->state))
		p->expected = -EEXIST;
}

static void op_start(void)
{
	struct model *m = pick();

	if (!m || !can_start(m))
		return;
	if (active(m))
		go_on(m, "start\n", 1 << STATE_PREPARING | 1 << STATE_PREPARED);
	else if (!peer_of(m))
		begin(m, "start\n");
}

static void op_prepare(void)
{
	struct model *m = pick();
	const char *verb = next(2) ? "prepare outside\n" : "prepare\n";
	struct pending *p;

	if (m && m->kind == KIND_VM) {
		p = put(m, "ctl", verb, ASKED_NOTHING);
		if (p->used)
			p->expected = -EINVAL;
	} else if (m && active(m)) {
		go_on(m, verb, 1 << STATE_PREPARING);
	} else if (m && can_start(m) && !peer_of(m)) {
		begin(m, verb);
	}
}

#define VERB_HELD   (1 << STATE_PREPARING | 1 << STATE_PREPARED)
#define VERB_ACTIVE (1 << STATE_RUNNING | 1 << STATE_PAUSED | 1 << STATE_STOPPING)

static void op_verb(void)
{
	static const struct {
		const char *text;
		unsigned states;
	} verbs[] = { { "stop 3\n", VERB_ACTIVE | VERB_HELD },
		      { "kill\n", VERB_ACTIVE | VERB_HELD },
		      { "pause\n", 1 << STATE_RUNNING },
		      { "resume\n", 1 << STATE_PAUSED | VERB_HELD } };
	struct model *m = pick();
	unsigned v = next(4);
	struct pending *p;

	if (!m)
		return;
	p = put(m, "ctl", verbs[v].text, ASKED_VERB);
	if (!p->used || verbs[v].states & 1u << m->state)
		return;
	p->expected = (v == 2 && m->state == STATE_PAUSED) || (v == 3 && m->state == STATE_RUNNING)
			      ? -EEXIST
			      : -EBUSY;
}

/* Those of one kind alone. */
static void op_own_verb(void)
{
	static const struct {
		const char *text;
		enum machine_kind kind;
	} verbs[] = { { "reset\n", KIND_VM },
		      { "dump\n", KIND_VM },
		      { "signal HUP\n", KIND_CONTAINER },
		      { "signal\n", KIND_CONTAINER } };
	struct model *m = pick();
	unsigned v = next(4);
	struct pending *p;

	if (!m)
		return;
	p = put(m, "ctl", verbs[v].text, ASKED_VERB);
	if (p->used && (m->kind != verbs[v].kind || v == 3))
		p->expected = -EINVAL;
	else if (p->used && !(VERB_ACTIVE & 1u << m->state))
		p->expected = -EBUSY;
}

/* ---- the monitors ---- */

static void peer_end(struct model *m, struct peer *p, const struct ending *ending)
{
	char line[320];

	ending_print(ending, line, sizeof(line) - 1);
	strcat(line, "\n");
	fuzz_check(pwrite(p->exit_fd, line, strlen(line), 0) > 0 &&
		   ftruncate(p->exit_fd, (off_t)strlen(line)) == 0);
	peer_say_state(p, RUN_ENDED, ending);
	peer_free(p);
	fuzz_daemon_turn();
	m->failed_last = ending->kind == ENDING_FAILED;
	model_state(m, m->failed_last ? STATE_FAILED : STATE_STOPPED);
	model_answer(m, ASKED_VERB, -ENXIO);
	model_answer(m, ASKED_START, -ENXIO);
}

/* As a monitor says it, and as the tree does. */
struct phase {
	enum wire_run run;
	enum machine_state state;
};

static const struct phase holds[HOLD_END] = {
	[HOLD_NONE] = { RUN_RUNNING, STATE_RUNNING },
	[HOLD_OUTSIDE] = { RUN_OUTSIDE, STATE_PREPARING },
	[HOLD_INSIDE] = { RUN_INSIDE, STATE_PREPARED },
};

static void serve_start(struct model *m, struct peer *p, struct wire_message *w, bool refuse)
{
	struct wire_start *start = (struct wire_start *)w->body;

	for (int i = 0; i < w->nfds; i++)
		if (start->roles[i].role == WIRE_ROLE_EXIT) {
			p->exit_fd = w->fds[i];
			w->fds[i] = -1;
		}
	if (!refuse) {
		p->tag = start->tag;
		fuzz_check(start->hold < HOLD_END);
		peer_say_hello(p, holds[start->hold].run);
		peer_reply(p, w->header.seq, 0);
		model_state(m, holds[start->hold].state);
		model_answer(m, ASKED_START, 0);
		return;
	}
	peer_reply(p, w->header.seq, -ENOENT);
	peer_free(p);
	fuzz_daemon_turn();
	model_state(m, m->before_start);
	model_answer(m, ASKED_START, -ENOENT);
}

/* What a monitor makes of a verb: 0, and what its machine is then, or why it does nothing. */
static int verb_effect(const struct model *m, const struct wire_verb *verb, struct phase *ret)
{
	static const struct phase phases[VERB_END] = {
		[VERB_STOP] = { RUN_STOPPING, STATE_STOPPING },
		[VERB_KILL] = { RUN_STOPPING, STATE_STOPPING },
		[VERB_PAUSE] = { RUN_PAUSED, STATE_PAUSED },
		[VERB_RESUME] = { RUN_RUNNING, STATE_RUNNING },
	};

	if (verb->verb == VERB_RELEASE) {
		if (!held(m))
			return -EBUSY;
		if (verb->arg == HOLD_OUTSIDE ||
		    (verb->arg == HOLD_INSIDE && m->state == STATE_PREPARED))
			return -EEXIST;
		*ret = holds[verb->arg];
	} else if (phases[verb->verb].run) {
		*ret = phases[verb->verb];
	}
	return 0;
}

static void serve_verb(struct model *m, struct peer *p, struct wire_message *w, bool refuse)
{
	struct phase after = { RUN_NEW, m->state };
	int rc = verb_effect(m, (struct wire_verb *)w->body, &after);

	if (refuse)
		rc = -EBUSY;
	if (rc == 0 && after.run != RUN_NEW) {
		peer_say_state(p, after.run, NULL);
		fuzz_daemon_turn();
		model_state(m, after.state);
	}
	peer_reply(p, w->header.seq, rc);
	/* Its request, if the client is still there: they are told apart by their numbers. */
	for (int i = 0; i < REQUESTS; i++) {
		struct pending *q = &pendings[i];

		if (q->used && q->model == m && q->asked == ASKED_VERB && q->expected == PENDING) {
			fuzz_daemon_turn();
			if (q->f.answers)
				q->expected = rc < 0 ? rc : (int)q->f.request.len;
		}
	}
}

static void op_serve(void)
{
	static struct wire_message w;
	struct model *m = pick();
	struct peer *p = m ? peer_of(m) : NULL;
	bool refuse = next(4) == 3;

	if (!p || !peer_accept(p))
		return;
	if (p->exit_fd < 0)
		peer_say_hello(p, RUN_NEW);
	if (wire_recv(p->fd, WIRE_DAEMON, &w) == 1) {
		if (w.header.type == WIRE_START)
			serve_start(m, p, &w, refuse);
		else if (w.header.type == WIRE_VERB)
			serve_verb(m, p, &w, refuse);
		wire_message_close(&w);
	}
}

static void op_end(void)
{
	struct model *m = pick();
	struct peer *p = m ? peer_of(m) : NULL;
	struct ending ending = { .kind = next(5), .code = (int)next(64) };

	if (!p || p->exit_fd < 0)
		return;
	if (ending.kind == ENDING_FAILED)
		snprintf(ending.why, sizeof(ending.why), "the fuzzer broke it");
	peer_end(m, p, &ending);
}

/* It dies without a word. */
static void op_die(void)
{
	struct model *m = pick();
	struct peer *p = m ? peer_of(m) : NULL;

	if (!p)
		return;
	peer_free(p);
	fuzz_daemon_turn();
	m->failed_last = true;
	model_state(m, STATE_FAILED);
	model_answer(m, ASKED_START, -ENXIO);
	model_answer(m, ASKED_VERB, -ENXIO);
}

/* ---- the daemon itself ---- */

static void op_turn(void)
{
	fuzz_daemon_turn();
}

/* Ends as serve() of fs/main.c does: what waits is answered, what is open is closed. */
static void daemon_end(void)
{
	struct handle **handles[HANDLES];

	for (int i = 0; i < HANDLES; i++) {
		handles[i] = &files[i].handle;
		text_free(&files[i].draft);
	}
	fuzz_daemon_stop(handles, HANDLES);
	for (int i = 0; i < REQUESTS; i++) {
		fuzz_check(!pendings[i].used || pendings[i].f.answers == 1);
		pendings[i].used = false;
	}
}

static void op_restart(void)
{
	struct err e = { 0 };
	struct node n = { 0 };

	kept_drop_object(NULL);
	daemon_end();
	fuzz_check(fuzz_daemon_start(&e) == 0);
	for (int i = 0; i < MACHINES; i++) {
		struct model *m = &models[i];

		if (!m->there)
			continue;
		if (active(m))
			m->failed_last = true; /* its monitor has gone, too */
		m->state = m->failed_last ? STATE_FAILED : STATE_STOPPED;
		fuzz_check(node_lookup(node_of(fuzz_daemon->machines[m->kind]), m->name,
				       (struct caller){ 0 }, &n) == 0);
		m->object = n.object;
		memset(m->changed, 0, sizeof(m->changed));
		check_config(m);
	}
}

static void one(const char *data, size_t len)
{
	static void (*const ops[])(
		void) = { op_mkdir,   op_mkdir,	  op_rmdir,	op_rename,   op_chown, op_forbid,
			  op_open,    op_read,	  op_setting,	op_document, op_flush, op_close,
			  op_poll,    op_wait,	  op_interrupt, op_start,    op_verb,  op_serve,
			  op_end,     op_die,	  op_turn,	op_restart,  op_open,  op_serve,
			  op_getattr, op_getattr, op_prepare,	op_own_verb };
	const bool trace = getenv("FUZZ_TRACE");
	struct err e = { 0 };

	input = data;
	input_left = len < 600 ? len : 600;
	fuzz_invalidate = kept_invalidate;
	fuzz_check(fuzz_daemon_start(&e) == 0);
	while (input_left) {
		unsigned op = next(32); /* so that inputs keep their meaning when one is added */

		if (trace)
			printf("# operation %u, %zu bytes left\n", op, input_left);
		if (op < sizeof(ops) / sizeof(ops[0]))
			ops[op]();
		fuzz_daemon_turn();
		check_all();
	}
	kept_drop_object(NULL);
	daemon_end();
	for (int i = 0; i < MACHINES; i++) {
		if (models[i].there)
			config_free(&models[i].config);
		models[i].there = false;
	}
	fuzz_sweep();
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
