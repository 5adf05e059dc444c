/* Types of values that name something: objects, hardware and network addresses, devices. See
 * attr.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"

/* ---- an object of the tree ---- */

static int parse_name(const struct attr *a, const char *line, void *field, struct err *e)
{
	if (*line && !object_name_valid(line))
		return err_set(e, -EINVAL, "\"%.80s\" is not a name", line);
	return attr_string.parse(a, line, field, e);
}

const struct attr_type attr_name = {
	.name = "name",
	.format = "A name as objects have, or nothing.",
	.size = sizeof(char *),
	.parse = parse_name,
	.print = attr_print_string,
	.equal = attr_equal_string,
	.copy = attr_copy_string,
	.free = attr_free_string,
};

/* ---- hardware addresses ---- */

static const uint8_t no_mac[6];

static int parse_mac(const struct attr *a, const char *line, void *field, struct err *e)
{
	unsigned b[6];
	uint8_t mac[6] = { 0 };
	int used = 0;

	if (*line) {
		if (strlen(line) != 17 || line[strspn(line, "0123456789abcdefABCDEF:")] ||
		    sscanf(line, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
			   &b[5], &used) != 6 ||
		    used != 17)
			return err_set(e, -EINVAL, "\"%.64s\" is not six bytes in hexadecimal",
				       line);
		for (int i = 0; i < 6; i++)
			mac[i] = (uint8_t)b[i];
		if (mac[0] & 1 || !memcmp(mac, no_mac, 6))
			return err_set(e, -EINVAL, "\"%s\" is not the address of one interface",
				       line);
	}
	memcpy(field, mac, sizeof(mac));
	return 0;
}

static void print_mac(const struct attr *a, const void *field, struct text *out)
{
	const uint8_t *b = field;

	if (memcmp(b, no_mac, 6))
		text_addf(out, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	text_add(out, "\n");
}

const struct attr_type attr_mac = {
	.name = "hardware address",
	.format = "Six bytes in hexadecimal with colons between them, or nothing.",
	.size = 6,
	.parse = parse_mac,
	.print = print_mac,
};

/* ---- network addresses ---- */

static int address_parse(const char *text, bool prefix, struct net_address *ret)
{
	struct net_address n = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	unsigned bits = n.family == AF_INET6 ? 128 : 32;
	char copy[64], *slash;
	uint64_t len = bits;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		return -EINVAL;
	slash = strchr(copy, '/');
	if (!slash != !prefix)
		return -EINVAL;
	if (slash) {
		*slash++ = '\0';
		if (attr_parse_number(slash, false, &len) < 0 || len > bits)
			return -EINVAL;
	}
	if (inet_pton(n.family, copy, n.bytes) != 1)
		return -EINVAL;
	n.prefix = (uint8_t)len;
	*ret = n;
	return 0;
}

static int addresses_parse(const char *line, bool prefix, void *field, struct err *e)
{
	struct net_addresses all = { 0 };
	char word[80];

	for (const char *p = line + strspn(line, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (all.n == NET_ADDRESSES_MAX)
			return err_set(e, -EINVAL, "more than %d addresses", NET_ADDRESSES_MAX);
		snprintf(word, sizeof(word), "%.*s", (int)(len < 79 ? len : 79), p);
		if (address_parse(word, prefix, &all.list[all.n]) < 0)
			return err_set(e, -EINVAL, "\"%.64s\" is not an address %s a prefix length",
				       word, prefix ? "with" : "without");
		all.n++;
		p += len;
	}
	memcpy(field, &all, sizeof(all));
	return 0;
}

static void addresses_print(const struct net_addresses *all, bool prefix, struct text *out)
{
	char text[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < all->n; i++) {
		inet_ntop(all->list[i].family, all->list[i].bytes, text, sizeof(text));
		text_addf(out, "%s%s", i ? " " : "", text);
		if (prefix)
			text_addf(out, "/%u", all->list[i].prefix);
	}
	text_add(out, "\n");
}

static int parse_addresses(const struct attr *a, const char *line, void *field, struct err *e)
{
	return addresses_parse(line, true, field, e);
}

static void print_addresses(const struct attr *a, const void *field, struct text *out)
{
	addresses_print(field, true, out);
}

static int parse_gateways(const struct attr *a, const char *line, void *field, struct err *e)
{
	return addresses_parse(line, false, field, e);
}

static void print_gateways(const struct attr *a, const void *field, struct text *out)
{
	addresses_print(field, false, out);
}

const struct attr_type attr_addresses = {
	.name = "addresses",
	.format = "IPv4 and IPv6 addresses with the length of their prefixes, separated by spaces.",
	.size = sizeof(struct net_addresses),
	.parse = parse_addresses,
	.print = print_addresses,
};

const struct attr_type attr_gateways = {
	.name = "addresses",
	.format = "IPv4 and IPv6 addresses, separated by spaces.",
	.size = sizeof(struct net_addresses),
	.parse = parse_gateways,
	.print = print_gateways,
};

/* ---- device nodes ---- */

static int parse_device_number(const struct attr *a, const char *line, void *field, struct err *e)
{
	struct device_number n = { 0 };
	char copy[32], *colon;
	uint64_t major = 0, minor = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = '\0';
	if (*line) {
		if (strlen(line) >= sizeof(copy) || !colon || (*copy != 'c' && *copy != 'b') ||
		    copy[1] != ' ' || attr_parse_number(copy + 2, false, &major) < 0 ||
		    attr_parse_number(colon, false, &minor) < 0 || major >= 1 << 12 ||
		    minor >= 1 << 20)
			return err_set(e, -EINVAL, "\"%.64s\" is not TYPE MAJOR:MINOR", line);
		n = (struct device_number){ *copy, (uint32_t)major, (uint32_t)minor };
	}
	*(struct device_number *)field = n;
	return 0;
}

static void print_device_number(const struct attr *a, const void *field, struct text *out)
{
	const struct device_number *n = field;

	if (n->type)
		text_addf(out, "%c %u:%u", n->type, n->major, n->minor);
	text_add(out, "\n");
}

const struct attr_type attr_device_number = {
	.name = "device number",
	.format = "TYPE MAJOR:MINOR, with c or b as TYPE, or nothing.",
	.size = sizeof(struct device_number),
	.parse = parse_device_number,
	.print = print_device_number,
};

static int parse_mode(const struct attr *a, const char *line, void *field, struct err *e)
{
	size_t len = strlen(line);
	uint64_t n;

	if (!len || len > 5 || line[strspn(line, "01234567")] ||
	    (n = strtoul(line, NULL, 8)) > a->max)
		return err_set(e, -EINVAL, "\"%.64s\" is not a mode of at most %04llo in octal",
			       line, (unsigned long long)a->max);
	*(uint64_t *)field = n;
	return 0;
}

static void print_mode(const struct attr *a, const void *field, struct text *out)
{
	text_addf(out, "%04llo\n", (unsigned long long)*(const uint64_t *)field);
}

const struct attr_type attr_mode = {
	.name = "mode",
	.format = "Permission bits in octal.",
	.size = sizeof(uint64_t),
	.parse = parse_mode,
	.print = print_mode,
};

static const char permission_letters[] = "rwm"; /* as enum device_permission */

static int parse_permissions(const struct attr *a, const char *line, void *field, struct err *e)
{
	uint64_t bits = 0;

	for (const char *p = line; *p; p++) {
		const char *letter = strchr(permission_letters, *p);

		if (!letter)
			return err_set(e, -EINVAL, "\"%.64s\" is not some of the letters %s", line,
				       permission_letters);
		bits |= 1u << (letter - permission_letters);
	}
	*(uint64_t *)field = bits;
	return 0;
}

static void print_permissions(const struct attr *a, const void *field, struct text *out)
{
	uint64_t bits = *(const uint64_t *)field;

	for (int i = 0; permission_letters[i]; i++)
		if (bits & 1u << i)
			text_addf(out, "%c", permission_letters[i]);
	text_add(out, "\n");
}

const struct attr_type attr_permissions = {
	.name = "permissions",
	.format = "Some of the letters r, w and m.",
	.size = sizeof(uint64_t),
	.parse = parse_permissions,
	.print = print_permissions,
};
