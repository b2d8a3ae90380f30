// SPDX-License-Identifier: Apache-2.0
#include "config/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "config/json_line.h"
#include "config/text.h"

#define MAX_STEPS 8 /* drives, [1], rate_limiter, bandwidth, size are five */

/* What is read, and where the reader's finger is, for messages. */
struct reader {
	const char *name, *text;
	size_t len;
	struct json_step path[MAX_STEPS];
	unsigned n_steps;
};

static void enter(struct reader *r, const char *key, unsigned index)
{
	if (r->n_steps < MAX_STEPS)
		r->path[r->n_steps++] = (struct json_step){key, index};
}

/* An error leaves the path as it is: at_path() says where it was. */
static void leave(struct reader *r)
{
	r->n_steps--;
}

/* Puts "file:line: section[index].key: " before the text. */
static int at_path(const struct reader *r, int rc, struct err *e)
{
	unsigned line = json_line_of(r->text, r->len, r->path, r->n_steps);

	rc = err_wrap(e, rc, ": ");
	for (unsigned i = r->n_steps; i > 0; i--) {
		const struct json_step *s = &r->path[i - 1];

		if (s->key)
			rc = err_wrap(e, rc, "%s%s", i > 1 ? "." : "", show(s->key).text);
		else
			rc = err_wrap(e, rc, "[%u]", s->index);
	}
	if (line)
		return err_wrap(e, rc, "%s:%u: ", show(r->name).text, line);
	return err_wrap(e, rc, "%s: ", show(r->name).text);
}

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

static int wrong_type(const char *expected, const json_t *value, struct err *e)
{
	return err_set(e, EINVAL, "expected %s, found %s", expected, type_name(value));
}

static int read_flag(const struct field *f, void *target, const json_t *value, struct err *e)
{
	const struct given given = {json_is_true(value) ? "true" : "false", json_is_true(value)};

	if (!json_is_boolean(value))
		return wrong_type("true or false", value, e);
	return field_set(f, target, &given, e);
}

static int read_number(const struct field *f, void *target, const json_t *value, struct err *e)
{
	json_int_t n = json_integer_value(value);
	char written[32];
	struct given given = {written, (uint64_t)n};

	if (!json_is_integer(value))
		return wrong_type("a whole number", value, e);
	snprintf(written, sizeof(written), "%lld%s", (long long)n,
		 f->type == FIELD_SIZE ? " MiB" : "");
	if (n < 0 && f->type == FIELD_NUMBER)
		return field_not_in_range(f, written, e);
	if (n < 0)
		return err_set(e, EINVAL, "'%s' is too little", written);
	if (f->type == FIELD_SIZE && __builtin_mul_overflow(given.number, MIB, &given.number))
		given.number = UINT64_MAX;
	return field_set(f, target, &given, e);
}

static int read_text(const struct field *f, void *target, const json_t *value, struct err *e)
{
	const struct given given = {.text = json_string_value(value)};

	if (!json_is_string(value))
		return wrong_type("a string", value, e);
	return field_set(f, target, &given, e);
}

static int read_texts(struct reader *r, const struct field *f, void *target, const json_t *value,
		      struct err *e)
{
	const json_t *element;
	size_t i;

	if (!json_is_array(value))
		return wrong_type("an array of strings", value, e);
	json_array_foreach(value, i, element)
	{
		int rc;

		enter(r, NULL, (unsigned)i);
		rc = read_text(f, target, element, e);
		if (rc < 0)
			return rc;
		leave(r);
	}
	return 0;
}

static int read_object(struct reader *r, const struct field *fields, void *target,
		       const json_t *object, struct err *e);

static int read_value(struct reader *r, const struct field *f, void *target, const json_t *value,
		      struct err *e)
{
	switch (f->type) {
	case FIELD_FLAG:
		return read_flag(f, target, value, e);
	case FIELD_NUMBER:
	case FIELD_SIZE:
		return read_number(f, target, value, e);
	case FIELD_TEXTS:
		return read_texts(r, f, target, value, e);
	case FIELD_OBJECT:
		return read_object(r, f->fields, (char *)target + f->offset, value, e);
	default:
		return read_text(f, target, value, e);
	}
}

static bool is_given(const json_t *object, const char *name)
{
	const json_t *value = name ? json_object_get(object, name) : NULL;

	return value && !json_is_null(value);
}

static int read_key(struct reader *r, const struct field *fields, void *target,
		    const json_t *object, const char *name, struct err *e)
{
	const struct field *f = field_of_key(fields, name);

	if (!f)
		return field_unknown_key(fields, name, e);
	if (!is_given(object, name))
		return 0; /* null: Firecracker writes "initrd_path": null */
	if (is_given(object, f->key) && is_given(object, f->key_alias))
		return err_set(e, EINVAL, "'%s' and '%s' are the same thing, and both are given",
			       f->key, f->key_alias);
	return read_value(r, f, target, json_object_get(object, name), e);
}

static int read_object(struct reader *r, const struct field *fields, void *target,
		       const json_t *object, struct err *e)
{
	const char *name;
	json_t *value;
	int rc;

	if (!json_is_object(object))
		return wrong_type("an object", object, e);
	json_object_foreach((json_t *)object, name, value)
	{
		enter(r, name, 0);
		rc = read_key(r, fields, target, object, name, e);
		if (rc < 0)
			return rc;
		leave(r);
	}
	for (const struct field *f = fields; f->type != FIELD_END; f++)
		if (f->required && !is_given(object, f->key) && !is_given(object, f->key_alias))
			return err_set(e, EINVAL, "the key '%s' is missing", f->key);
	return 0;
}

/* One object of a section: a device, or the section itself. */
static int read_device(struct reader *r, struct vm_config *c, const struct json_section *section,
		       const json_t *object, struct err *e)
{
	void *target = section->target ? section->target(c, e) : c;
	int rc;

	if (!target)
		return -EINVAL;
	rc = read_object(r, section->fields, target, object, e);
	if (rc == 0 && section->finish)
		rc = section->finish(target, object, e);
	return rc;
}

static int read_devices(struct reader *r, struct vm_config *c, const struct json_section *section,
			const json_t *array, struct err *e)
{
	const json_t *object;
	size_t i;

	if (!json_is_array(array))
		return wrong_type("an array of objects", array, e);
	json_array_foreach(array, i, object)
	{
		int rc;

		enter(r, NULL, (unsigned)i);
		rc = read_device(r, c, section, object, e);
		if (rc < 0)
			return rc;
		leave(r);
	}
	return 0;
}

/* For a name that is no section of ours: 0 when it asks for nothing. */
static int other_section(const char *name, const json_t *value, struct err *e)
{
	struct near near = near_start(name);

	for (const char *const *later = json_later_sections; *later; later++) {
		if (strcmp(*later, name) != 0)
			continue;
		if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
		    (json_is_object(value) && json_object_size(value) == 0))
			return 0;
		return err_set(e, EINVAL, "toyvmm does not support this section yet");
	}
	for (const struct json_section *known = json_sections; known->name; known++)
		near_try(&near, known->name);
	if (near.best)
		return err_set(e, EINVAL, "unknown section; did you mean '%s'?", near.best);
	return err_set(e, EINVAL, "unknown section");
}

static int read_section(struct reader *r, struct vm_config *c, const char *name,
			const json_t *value, struct err *e)
{
	const struct json_section *section = json_sections;

	while (section->name && strcmp(section->name, name) != 0)
		section++;
	if (!section->name)
		return other_section(name, value, e);
	if (json_is_null(value))
		return 0;
	return section->is_array ? read_devices(r, c, section, value, e)
				 : read_device(r, c, section, value, e);
}

static int read_root(struct reader *r, struct vm_config *c, json_t *root, struct err *e)
{
	const char *name;
	json_t *value;

	if (!json_is_object(root))
		return err_set(e, EINVAL, "%s:1: expected an object, found %s", show(r->name).text,
			       type_name(root));
	json_object_foreach(root, name, value)
	{
		int rc;

		enter(r, name, 0);
		rc = read_section(r, c, name, value, e);
		if (rc < 0)
			return at_path(r, rc, e);
		leave(r);
	}
	return 0;
}

int json_merge(struct vm_config *c, const char *name, const char *text, size_t len, struct err *e)
{
	struct reader r = {.name = name, .text = text, .len = len};
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	int rc;

	if (!root)
		return err_set(e, EINVAL, "%s:%d:%d: %s", show(name).text, where.line, where.column,
			       show(where.text).text);
	rc = read_root(&r, c, root, e);
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
