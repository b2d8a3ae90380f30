// SPDX-License-Identifier: Apache-2.0
#include "config/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/text.h"

/* Like strtoull(), but no sign, no space, no "0x", and never a wrapped result. */
static int parse_digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t n = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	*text = p;
	*out = n;
	return 0;
}

int parse_u64(const char *text, uint64_t *out)
{
	size_t len = strlen(text);

	/* Judged first, so that "99999999999999999999x" is not a number, rather than too large a
	 * one. */
	if (len == 0 || strspn(text, "0123456789") != len)
		return -EINVAL;
	return parse_digits(&text, out);
}

int parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	size_t digits = strspn(text, "0123456789");
	uint64_t unit = MIB;
	int rc;

	if (digits == 0)
		return -EINVAL;
	if (text[digits]) {
		const char *u = strchr(units, text[digits] & ~0x20); /* to upper case */

		if (!u || !*u || text[digits + 1])
			return -EINVAL;
		unit = KIB << (10 * (u - units));
	}
	rc = parse_digits(&text, out);
	if (rc < 0)
		return rc;
	return __builtin_mul_overflow(*out, unit, out) ? -ERANGE : 0;
}

int read_size(const char *text, uint64_t *out, struct err *e)
{
	int rc = parse_size(text, out);

	if (rc == -EINVAL)
		return err_set(e, EINVAL,
			       "'%s' is not a size: write 512M or 2G; a plain number is MiB",
			       show(text).text);
	if (rc < 0)
		*out = UINT64_MAX;
	return 0;
}

static int replace(char **to, const char *text, struct err *e)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

/* `rule`: why it must not. */
static int check_no_control(const char *text, const char *rule, struct err *e)
{
	const char *p = find_control(text);

	if (!p)
		return 0;
	return err_set(e, EINVAL, "character %zu is a control character (0x%02x); %s",
		       (size_t)(p - text) + 1, (unsigned char)*p, rule);
}

int check_path(const char *path, struct err *e)
{
	if (!*path)
		return err_set(e, EINVAL, "the file name is empty");
	return check_no_control(path, "a file name here is one line of text", e);
}

int set_path(char **path, const char *written, struct err *e)
{
	int rc = check_path(written, e);

	return rc < 0 ? rc : replace(path, written, e);
}

int check_socket_path(const char *path, size_t spare, struct err *e)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - spare; /* unix(7) */

	if (strlen(path) > max)
		return err_set(e, EINVAL, "the socket's path is longer than %zu bytes", max);
	return check_path(path, e);
}

int set_line(char **to, const char *written, struct err *e)
{
	int rc = check_no_control(written, "this is one line of text", e);

	if (rc == 0 && !*written)
		rc = err_set(e, EINVAL, "the text is empty");
	return rc < 0 ? rc : replace(to, written, e);
}

int set_cmdline(struct vm_config *c, const char *written, struct err *e)
{
	int rc = check_no_control(written, "the kernel's command line is one line of text", e);

	return rc < 0 ? rc : replace(&c->cmdline, written, e);
}

int set_cpus(struct vm_config *c, uint64_t cpus, const char *written, struct err *e)
{
	if (cpus < 1 || cpus > CONFIG_MAX_CPUS)
		return err_set(e, EINVAL, "'%s' is not a whole number from 1 to %u",
			       show(written).text, CONFIG_MAX_CPUS);
	c->cpus = (unsigned)cpus;
	return 0;
}

int set_memory(struct vm_config *c, uint64_t bytes, const char *written, struct err *e)
{
	if (bytes > CONFIG_MAX_MEMORY)
		return err_set(e, EINVAL, "'%s' is too much: at most 8 TiB", show(written).text);
	if (bytes < CONFIG_MIN_MEMORY)
		return err_set(e, EINVAL, "'%s' is too little: at least 32 MiB",
			       show(written).text);
	if (bytes % MIB)
		return err_set(e, EINVAL, "'%s' is not a whole number of MiB", show(written).text);
	c->memory = bytes;
	return 0;
}

int set_transport(struct vm_config *c, const char *name, struct err *e)
{
	bool mmio = strcmp(name, "mmio") == 0;

	if (!mmio && strcmp(name, "pci") != 0)
		return err_set(e, EINVAL, "'%s' is neither pci nor mmio", show(name).text);
	c->transport = mmio ? TRANSPORT_MMIO : TRANSPORT_PCI;
	c->transport_given = true;
	return 0;
}

_Static_assert((int)SERIAL_STDIO == CONSOLE_STDIO && (int)SERIAL_PTY == CONSOLE_PTY &&
		       (int)SERIAL_FILE == CONSOLE_FILE && (int)SERIAL_SOCKET == CONSOLE_SOCKET &&
		       (int)SERIAL_NONE == CONSOLE_NONE,
	       "place_kind() is for both");

static const struct place {
	const char *name;
	enum serial_kind kind;
	bool takes_path;
} places[] = {
	{"stdio", SERIAL_STDIO, false},  {"pty", SERIAL_PTY, false},   {"file", SERIAL_FILE, true},
	{"socket", SERIAL_SOCKET, true}, {"none", SERIAL_NONE, false},
};

static int unknown_place(const char *kind, struct err *e)
{
	struct near near = near_start(kind);

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		near_try(&near, places[i].name);
	if (near.best)
		return err_set(e, EINVAL, "'%s' is unknown; did you mean '%s'?", show(kind).text,
			       near.best);
	return err_set(e, EINVAL, "'%s' is none of stdio, pty, file=PATH, socket=PATH and none",
		       show(kind).text);
}

static int check_place_path(const struct place *p, const char *path, struct err *e)
{
	if (!p->takes_path)
		return path ? err_set(e, EINVAL, "'%s' takes no path", p->name) : 0;
	if (!path || !*path)
		return err_set(e, EINVAL, "'%s' needs a path", p->name);
	return p->kind == SERIAL_SOCKET ? check_socket_path(path, 0, e) : check_path(path, e);
}

int place_kind(const char *kind, const char *path, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (strcmp(places[i].name, kind) == 0) {
			int rc = check_place_path(&places[i], path, e);

			return rc < 0 ? rc : (int)places[i].kind;
		}
	}
	return unknown_place(kind, e);
}

int place_split(const char *spec, char **kind, const char **path, struct err *e)
{
	const char *equals = strchr(spec, '=');

	*kind = strndup(spec, equals ? (size_t)(equals - spec) : strlen(spec));
	*path = equals ? equals + 1 : NULL;
	return *kind ? 0 : err_set(e, ENOMEM, "out of memory");
}

int set_serial(struct vm_config *c, const char *kind, const char *path, struct err *e)
{
	int place = place_kind(kind, path, e), rc;

	if (place < 0)
		return place;
	if (path) {
		rc = replace(&c->serial.path, path, e);
		if (rc < 0)
			return rc;
	} else {
		free(c->serial.path);
		c->serial.path = NULL;
	}
	c->serial.kind = (enum serial_kind)place;
	c->serial.given = true;
	return 0;
}

int set_serial_spec(struct vm_config *c, const char *spec, struct err *e)
{
	const char *path;
	char *kind;
	int rc = place_split(spec, &kind, &path, e);

	if (rc == 0)
		rc = set_serial(c, kind, path, e);
	free(kind);
	return rc;
}
