/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `toyvmm run`. One table: parsing, help, "did you mean" and the test that the man
 * page knows them all read it, so an option is added by one row.
 */
#pragma once

#include "config/config.h"
#include "config/list.h"

enum option_id {
	OPT_KERNEL,
	OPT_INITRD,
	OPT_CMDLINE,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_SERIAL,
	OPT_TRANSPORT,
	OPT_DISK,
	OPT_NET,
	OPT_VDPA,
	OPT_CONSOLE,
	OPT_VSOCK,
	OPT_RNG,
	OPT_BALLOON,
	OPT_VHOST_USER,
	OPT_FS,
	OPT_VFIO,
	OPT_VFIO_USER,
	OPT_CONFIG,
	OPT_VERBOSE,
	OPT_QUIET,
	OPT_HELP,
	N_OPTIONS
};

struct option_row {
	const char *name;    /* without "--" */
	char letter;         /* without "-"; 0: none */
	const char *value;   /* what the value is called in the help; NULL: takes none */
	bool repeats;        /* may be given more than once */
	const char *help;    /* lines separated by '\n' */
	const char *example; /* NULL where the name says it all */
	/* Puts the value into the configuration; NULL: cli.c looks at it. */
	int (*apply)(struct vm_config *c, const char *value, struct err *e);
	const struct list *list; /* what the value is made of; NULL: it is one word */
};

extern const struct option_row option_rows[N_OPTIONS]; /* option_rows.c */

#define OPTIONS_MAX 256 /* on one command line */

/* What stood on the command line, not yet judged. The strings are argv's. */
struct options {
	unsigned count[N_OPTIONS];
	const char *value[N_OPTIONS]; /* the last one */
	struct {
		enum option_id id;
		const char *value;
	} given[OPTIONS_MAX]; /* all, in their order */
	unsigned n_given;
};

/*
 * Sorts the words after "run". GNU manners: --name=value, --name value, -x value, -xvalue, -vq;
 * "--" ends the options. Stops at --help. -EINVAL with a text for whatever is wrong.
 */
int options_parse(struct options *o, int argc, char **argv, struct err *e);

/* Judges every value given, in their order, and puts it into *c. -EINVAL with a text that names the option. */
int options_apply(const struct options *o, struct vm_config *c, struct err *e);

/* The row of an option word of any form ("--memory=1G", "-m"); -1: there is none. */
int option_find(const char *word);
