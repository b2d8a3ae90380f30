// SPDX-License-Identifier: Apache-2.0
/* Any words after `toyvmm run`, separated by NUL: a valid configuration, or an error in one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/text.h"

#define MAX_WORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const struct err *e)
{
	if (!e->text[0])
		abort();
	for (const char *p = e->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), *argv[MAX_WORDS];
	char root[CONFIG_ROOT_WORDS_MAX];
	struct err e = {""};
	struct options o;
	struct vm_config c;
	int argc = 0;

	if (!text)
		return 0;
	if (size) /* memcpy() of a NULL of no bytes is undefined */
		memcpy(text, data, size);
	for (char *p = text; argc < MAX_WORDS && p < text + size; p += strlen(p) + 1)
		argv[argc++] = p;
	config_init(&c);
	if (options_parse(&o, argc, argv, &e) < 0 || options_apply(&o, &c, &e) < 0) {
		check_line(&e);
	} else {
		if (e.text[0])
			abort();
		if ((c.kernel && find_control(c.kernel)) || (c.initrd && find_control(c.initrd)) ||
		    (c.serial.path && find_control(c.serial.path)))
			abort();
		if (config_complete(&c, &e) < 0)
			abort();
		config_root_words(&c, root);
		/* What single options say is right; together they may contradict each other. */
		if (config_validate(&c, &e) < 0)
			check_line(&e);
	}
	config_fini(&c);
	free(text);
	return 0;
}
