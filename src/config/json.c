// SPDX-License-Identifier: Apache-2.0
#include "config/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "config/json_line.h"
#include "config/text.h"

/* The text under the reader's finger, for messages. */
struct source {
	const char *name, *text;
	size_t len;
};

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number with a fraction or an exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static const char *wanted_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	default:
		return "true or false";
	}
}

static bool has_type(const json_t *value, json_type type)
{
	return type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type;
}

/* Puts "file:line: section.key: " before the text; key may be NULL. */
static int at_key(const struct source *s, const char *section, const char *key, int rc,
		  struct err *e)
{
	unsigned line = json_line_of(s->text, s->len, section, key);

	rc = err_wrap(e, rc, "%s%s%s: ", show(section).text, key ? "." : "",
		      key ? show(key).text : "");
	if (line)
		return err_wrap(e, rc, "%s:%u: ", show(s->name).text, line);
	return err_wrap(e, rc, "%s: ", show(s->name).text);
}

static const struct json_key *find_key(const struct json_section *section, const char *name)
{
	for (const struct json_key *k = section->keys; k->name; k++)
		if (strcmp(name, k->name) == 0 || (k->alias && strcmp(name, k->alias) == 0))
			return k;
	return NULL;
}

static int unknown_key(const struct json_section *section, const char *name, struct err *e)
{
	struct near near = near_start(name);

	for (const struct json_key *k = section->keys; k->name; k++) {
		near_try(&near, k->name);
		if (k->alias)
			near_try(&near, k->alias);
	}
	if (near.best)
		return err_set(e, EINVAL, "unknown key; did you mean '%s'?", near.best);
	return err_set(e, EINVAL, "unknown key");
}

static bool is_given(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value && !json_is_null(value);
}

static int read_key(struct vm_config *c, const struct json_section *section, const json_t *object,
		    const char *name, const json_t *value, struct err *e)
{
	const struct json_key *key = find_key(section, name);

	if (!key)
		return unknown_key(section, name, e);
	if (json_is_null(value))
		return 0; /* as if it were not there: Firecracker writes "initrd_path": null */
	if (!has_type(value, key->type))
		return err_set(e, EINVAL, "expected %s, found %s", wanted_name(key->type),
			       type_name(value));
	if (key->alias && is_given(object, key->name) && is_given(object, key->alias))
		return err_set(e, EINVAL, "'%s' and '%s' are the same thing, and both are given",
			       key->name, key->alias);
	return key->set ? key->set(c, value, e) : 0;
}

static int read_section(struct vm_config *c, const struct source *s,
			const struct json_section *section, json_t *object, struct err *e)
{
	const char *name;
	json_t *value;
	int rc;

	if (json_is_null(object))
		return 0;
	if (!json_is_object(object)) {
		rc = err_set(e, EINVAL, "expected an object, found %s", type_name(object));
		return at_key(s, section->name, NULL, rc, e);
	}
	json_object_foreach(object, name, value)
	{
		rc = read_key(c, section, object, name, value, e);
		if (rc < 0)
			return at_key(s, section->name, name, rc, e);
	}
	rc = section->finish ? section->finish(c, object, e) : 0;
	return rc < 0 ? at_key(s, section->name, NULL, rc, e) : 0;
}

/* For a name that is no section of ours: 0 when it asks for nothing. */
static int other_section(const struct source *s, const char *name, const json_t *value,
			 struct err *e)
{
	struct near near = near_start(name);
	int rc;

	for (const char *const *later = json_later_sections; *later; later++) {
		if (strcmp(*later, name) != 0)
			continue;
		if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
		    (json_is_object(value) && json_object_size(value) == 0))
			return 0;
		rc = err_set(e, EINVAL, "toyvmm does not support this section yet");
		return at_key(s, name, NULL, rc, e);
	}
	for (const struct json_section *known = json_sections; known->name; known++)
		near_try(&near, known->name);
	if (near.best)
		rc = err_set(e, EINVAL, "unknown section; did you mean '%s'?", near.best);
	else
		rc = err_set(e, EINVAL, "unknown section");
	return at_key(s, name, NULL, rc, e);
}

static int read_root(struct vm_config *c, const struct source *s, json_t *root, struct err *e)
{
	const char *name;
	json_t *value;

	if (!json_is_object(root))
		return err_set(e, EINVAL, "%s:1: expected an object, found %s", show(s->name).text,
			       type_name(root));
	json_object_foreach(root, name, value)
	{
		const struct json_section *section = json_sections;
		int rc;

		while (section->name && strcmp(section->name, name) != 0)
			section++;
		if (section->name)
			rc = read_section(c, s, section, value, e);
		else
			rc = other_section(s, name, value, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int json_merge(struct vm_config *c, const char *name, const char *text, size_t len, struct err *e)
{
	const struct source s = {name, text, len};
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	int rc;

	if (!root)
		return err_set(e, EINVAL, "%s:%d:%d: %s", show(name).text, where.line, where.column,
			       show(where.text).text);
	rc = read_root(c, &s, root, e);
	json_decref(root);
	return rc;
}

/* Up to `size` bytes, from a pipe too. The number read, or -errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int config_read_json(struct vm_config *c, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t len;
	int rc;

	if (fd < 0)
		return err_sys(e, "config '%s'", show(path).text);
	text = malloc(JSON_FILE_MAX + 1);
	len = text ? read_all(fd, text, JSON_FILE_MAX + 1) : -ENOMEM;
	fd_close(&fd);
	if (len < 0)
		rc = err_set(e, (int)-len, "config '%s': %s", show(path).text, strerror((int)-len));
	else if ((size_t)len > JSON_FILE_MAX)
		rc = err_set(e, EFBIG, "config '%s': larger than 1 MiB: not a configuration",
			     show(path).text);
	else
		rc = json_merge(c, path, text, (size_t)len, e);
	free(text);
	return rc;
}
