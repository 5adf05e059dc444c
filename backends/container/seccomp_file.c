/* A system call filter from a file: see seccomp_file.h. */
#include "backends/container/seccomp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backends/container/capabilities.h"

#define RULES_MAX     8192 /* a call and a condition each */
#define CONDITION_MAX 512  /* with conditions among them, which make libseccomp slow */

struct profile {
	scmp_filter_ctx filter;
	uint64_t capabilities;
	uint32_t action; /* of calls that are not named */
	unsigned rules, conditions;
};

static int refuse(struct err *e, const char *what, const char *word)
{
	return err_set(e, -EINVAL, "seccomp: %s \"%.64s\"", what, word ? word : "");
}

static int number(const json_t *object, const char *key, uint64_t otherwise, uint64_t max,
		  uint64_t *ret, struct err *e)
{
	const json_t *n = json_object_get(object, key);

	*ret = otherwise;
	if (!n || json_is_null(n))
		return 0;
	if (json_is_integer(n) && json_integer_value(n) >= 0) {
		*ret = (uint64_t)json_integer_value(n);
	} else if (json_is_real(n) && json_real_value(n) >= 0 &&
		   json_real_value(n) < 18446744073709551616.0) {
		*ret = (uint64_t)json_real_value(n); /* beyond 2^63 */
	} else {
		return refuse(e, "no number:", key);
	}
	return *ret <= max ? 0 : refuse(e, "out of bounds:", key);
}

/* ---- actions ---- */

static int action_of(const char *word, uint64_t errnum, uint32_t *ret, struct err *e)
{
	static const struct {
		const char *word;
		uint32_t action;
	} plain[] = {
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
		{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
		{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	};

	for (size_t i = 0; word && i < sizeof(plain) / sizeof(plain[0]); i++)
		if (!strcmp(word, plain[i].word)) {
			*ret = plain[i].action;
			return 0;
		}
	if (!word || (strcmp(word, "SCMP_ACT_ERRNO") && strcmp(word, "SCMP_ACT_TRACE")))
		return refuse(e, "no action that is possible here:", word);
	*ret = strcmp(word, "SCMP_ACT_TRACE") ? SCMP_ACT_ERRNO((uint32_t)errnum)
					      : SCMP_ACT_TRACE((uint32_t)errnum);
	return 0;
}

static int get_action(const json_t *object, const char *word, const char *errnum, uint32_t *ret,
		      struct err *e)
{
	uint64_t n;
	int r = number(object, errnum, EPERM, 4095, &n, e);

	return r < 0 ? r : action_of(json_string_value(json_object_get(object, word)), n, ret, e);
}

/* ---- for whom a rule is ---- */

static bool lists(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s && !strcmp(s, word))
			return true;
	}
	return false;
}

/* How many of the list the container has. */
static size_t held(const struct profile *p, const json_t *list)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));
		int c = s ? capability_number(s) : -1;

		n += c >= 0 && p->capabilities >> c & 1;
	}
	return n;
}

/* "4.8": this kernel is at least that. */
static bool kernel_is(const char *wanted)
{
	unsigned major = 0, minor = 0, have_major = 0, have_minor = 0;
	struct utsname u;

	if (!wanted || sscanf(wanted, "%u.%u", &major, &minor) < 1 || uname(&u) < 0)
		return true;
	sscanf(u.release, "%u.%u", &have_major, &have_minor);
	return have_major > major || (have_major == major && have_minor >= minor);
}

static bool applies(const struct profile *p, const json_t *rule)
{
	const json_t *in = json_object_get(rule, "includes"),
		     *ex = json_object_get(rule, "excludes");
	const json_t *caps = json_object_get(in, "caps"), *arches = json_object_get(in, "arches");

	if (held(p, caps) < json_array_size(caps) || held(p, json_object_get(ex, "caps")))
		return false;
	if (json_array_size(arches) && !lists(arches, "amd64"))
		return false;
	return !lists(json_object_get(ex, "arches"), "amd64") &&
	       kernel_is(json_string_value(json_object_get(in, "minKernel"))) &&
	       (!json_object_get(ex, "minKernel") ||
		!kernel_is(json_string_value(json_object_get(ex, "minKernel"))));
}

/* ---- rules ---- */

#define ARGUMENTS 6

struct conditions {
	struct scmp_arg_cmp list[ARGUMENTS * 2];
	unsigned n;
	bool any; /* one is enough, since one argument has several */
};

static int compare_of(const char *word, enum scmp_compare *ret, struct err *e)
{
	static const struct {
		const char *word;
		enum scmp_compare compare;
	} words[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE },
		{ "SCMP_CMP_LT", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", SCMP_CMP_GE },
		{ "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word)) {
			*ret = words[i].compare;
			return 0;
		}
	return refuse(e, "no comparison:", word);
}

static int get_conditions(const json_t *args, struct conditions *c, struct err *e)
{
	unsigned seen = 0;

	*c = (struct conditions){ 0 };
	if (json_array_size(args) > sizeof(c->list) / sizeof(c->list[0]))
		return err_set(e, -EINVAL, "seccomp: a rule has more than %zu args",
			       sizeof(c->list) / sizeof(c->list[0]));
	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *a = json_array_get(args, i);
		struct scmp_arg_cmp *cmp = &c->list[c->n++];
		uint64_t index, one, two;
		int r = number(a, "index", ARGUMENTS, ARGUMENTS - 1, &index, e);

		if (r == 0)
			r = number(a, "value", 0, UINT64_MAX, &one, e);
		if (r == 0)
			r = number(a, "valueTwo", 0, UINT64_MAX, &two, e);
		if (r == 0)
			r = compare_of(json_string_value(json_object_get(a, "op")), &cmp->op, e);
		if (r == 0 && index == ARGUMENTS)
			r = refuse(e, "args have no", "index");
		if (r < 0)
			return r;
		cmp->arg = (unsigned)index;
		cmp->datum_a = one;
		cmp->datum_b = two;
		c->any |= seen >> index & 1;
		seen |= 1u << index;
	}
	return 0;
}

static int add(struct profile *p, uint32_t action, int nr, const struct scmp_arg_cmp *list,
	       unsigned n, const char *name, struct err *e)
{
	int r;

	p->conditions += n > 0;
	if (++p->rules > RULES_MAX || p->conditions > CONDITION_MAX)
		return err_set(e, -EINVAL, "seccomp: more than %d rules, or %d with args",
			       RULES_MAX, CONDITION_MAX);
	r = seccomp_rule_add_array(p->filter, action, nr, n, list);
	/* The same said twice, or a call that some architecture does not have. */
	if (r == 0 || r == -EEXIST || r == -EDOM)
		return 0;
	return err_set(e, -EINVAL, "seccomp: the rule of \"%.64s\": %s", name, strerror(-r));
}

static int add_call(struct profile *p, uint32_t action, const char *name,
		    const struct conditions *c, struct err *e)
{
	int nr = seccomp_syscall_resolve_name(name), r = 0;

	if (nr == __NR_SCMP_ERROR)
		return 0;
	if (!c->any)
		return add(p, action, nr, c->list, c->n, name, e);
	for (unsigned i = 0; r == 0 && i < c->n; i++)
		r = add(p, action, nr, &c->list[i], 1, name, e);
	return r;
}

static int add_rule(struct profile *p, const json_t *rule, struct err *e)
{
	const json_t *names = json_object_get(rule, "names"), *args = json_object_get(rule, "args");
	const char *old = json_string_value(json_object_get(rule, "name"));
	struct conditions c;
	uint32_t action;
	int r;

	if (!json_is_object(rule) || (!json_is_array(names) && !old))
		return refuse(e, "a rule without", "names");
	if (args && !json_is_null(args) && !json_is_array(args))
		return refuse(e, "no list:", "args");
	r = get_action(rule, "action", "errnoRet", &action, e);
	if (r == 0)
		r = get_conditions(args, &c, e);
	if (r < 0 || action == p->action || !applies(p, rule))
		return r;
	if (old)
		return add_call(p, action, old, &c, e);
	for (size_t i = 0; r == 0 && i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		r = name ? add_call(p, action, name, &c, e) : refuse(e, "no name in", "names");
	}
	return r;
}

/* ---- the whole ---- */

static int add_arch(struct profile *p, const char *word, struct err *e)
{
	static const struct {
		const char *word;
		uint32_t arch;
	} ours[] = {
		{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
		{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
		{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	};
	int r;

	if (!word || strncmp(word, "SCMP_ARCH_", 10))
		return refuse(e, "no architecture:", word);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strcmp(word, ours[i].word))
			continue;
		r = seccomp_arch_add(p->filter, ours[i].arch);
		return r == 0 || r == -EEXIST ? 0 : err_sys(e, -r, "seccomp: %s", word);
	}
	return 0; /* of another machine */
}

static int add_arches(struct profile *p, const json_t *list, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = add_arch(p, json_string_value(json_array_get(list, i)), e);
	return r;
}

static int add_all_arches(struct profile *p, const json_t *whole, struct err *e)
{
	const json_t *map = json_object_get(whole, "archMap");
	int r = add_arches(p, json_object_get(whole, "architectures"), e);

	for (size_t i = 0; r == 0 && i < json_array_size(map); i++) {
		const json_t *m = json_array_get(map, i);
		const char *arch = json_string_value(json_object_get(m, "architecture"));

		if (arch && !strcmp(arch, "SCMP_ARCH_X86_64"))
			r = add_arches(p, json_object_get(m, "subArchitectures"), e);
	}
	return r;
}

/* What changes nothing for a process of one thread may be there. */
static int check_flags(const json_t *list, struct err *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));

		if (!word || strcmp(word, "SECCOMP_FILTER_FLAG_TSYNC"))
			return refuse(e, "no flag that is possible here:", word);
	}
	return 0;
}

static int build(struct profile *p, const json_t *whole, struct err *e)
{
	const json_t *rules = json_object_get(whole, "syscalls");
	int r = check_flags(json_object_get(whole, "flags"), e);

	if (r == 0)
		r = get_action(whole, "defaultAction", "defaultErrnoRet", &p->action, e);
	if (r < 0)
		return r;
	if (json_object_get(whole, "listenerPath"))
		return refuse(e, "not possible here:", "listenerPath");
	if (rules && !json_is_null(rules) && !json_is_array(rules))
		return refuse(e, "no list:", "syscalls");
	p->filter = seccomp_init(p->action);
	if (!p->filter ||
	    seccomp_attr_set(p->filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
	    seccomp_attr_set(p->filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		return err_set(e, -EIO, "seccomp: libseccomp fails");
	r = add_all_arches(p, whole, e);
	for (size_t i = 0; r == 0 && i < json_array_size(rules); i++)
		r = add_rule(p, json_array_get(rules, i), e);
	return r;
}

static int export(const struct profile *p, int *ret_fd, struct err *e)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC), r;

	if (fd < 0)
		return err_sys(e, errno, "seccomp");
	r = seccomp_export_bpf(p->filter, fd);
	if (r < 0) {
		close(fd);
		return err_set(e, -EINVAL, "seccomp: no program can be made of the file");
	}
	*ret_fd = fd;
	return 0;
}

int seccomp_file_parse(const char *text, size_t len, uint64_t capabilities, int *ret_fd,
		       struct err *e)
{
	struct profile p = { .capabilities = capabilities };
	json_error_t why;
	json_t *whole = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	int r;

	if (!whole)
		return err_set(e, -EINVAL, "seccomp: line %d of the file: %.100s", why.line,
			       why.text);
	r = json_is_object(whole) ? build(&p, whole, e) : refuse(e, "no profile:", "[");
	if (r == 0)
		r = export(&p, ret_fd, e);
	seccomp_release(p.filter);
	json_decref(whole);
	return r;
}

int seccomp_file_read(int fd, uint64_t capabilities, int *ret_fd, struct err *e)
{
	struct stat st;
	char *text;
	ssize_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "seccomp");
	if (st.st_size > SECCOMP_FILE_MAX)
		return err_set(e, -EINVAL, "seccomp: the file is larger than %d bytes",
			       SECCOMP_FILE_MAX);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_sys(e, ENOMEM, "seccomp");
	n = pread(fd, text, (size_t)st.st_size, 0);
	r = n < 0 ? err_sys(e, errno, "seccomp")
		  : seccomp_file_parse(text, (size_t)n, capabilities, ret_fd, e);
	free(text);
	return r;
}
