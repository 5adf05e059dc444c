/* struct err: see err.h. */
#include "backends/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line only: a newline or control byte in a quoted value must not break the error file. */
static void err_tidy(struct err *e)
{
	for (char *p = e->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static __attribute__((format(printf, 3, 0))) void err_write(struct err *e, int code,
							    const char *fmt, va_list ap)
{
	e->code = code;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	err_write(e, code, fmt, ap);
	va_end(ap);
	err_tidy(e);
	return code;
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
	int code = -err_public(errnum);
	va_list ap;
	size_t n;

	if (!e)
		return code;
	va_start(ap, fmt);
	err_write(e, code, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(errnum));
	err_tidy(e);
	return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->text)];
	va_list ap;
	size_t n;

	if (!e)
		return 0;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, "%s", old);
	err_tidy(e);
	return e->code;
}

int err_public(int errnum)
{
	switch (errnum) {
	case EINVAL:
	case EBUSY:
	case EEXIST:
	case ENOENT:
	case EPERM:
	case EACCES:
	case ENXIO:
	case ENOSPC:
	case EIO:
	case ESTALE:
		return errnum;
	case ENOTDIR:
	case EISDIR:
	case ENAMETOOLONG:
	case ELOOP:
	case E2BIG:
	case ERANGE:
		return EINVAL;
	case ENODEV:
	case ENOSYS:
	case EOPNOTSUPP:
	case ENOEXEC:
		return ENXIO;
	case ENOMEM:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case EUSERS:
		return ENOSPC;
	case EROFS:
		return EACCES;
	case ETXTBSY:
		return EBUSY;
	default:
		return EIO;
	}
}

const char *err_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ EINVAL, "EINVAL" }, { EBUSY, "EBUSY" },   { EEXIST, "EEXIST" },
		{ ENOENT, "ENOENT" }, { EPERM, "EPERM" },   { EACCES, "EACCES" },
		{ ENXIO, "ENXIO" },   { ENOSPC, "ENOSPC" }, { EIO, "EIO" },
		{ ESTALE, "ESTALE" },
	};

	if (code < 0)
		code = -code;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "EIO";
}
