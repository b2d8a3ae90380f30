/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: which command, and for `run` a struct vm_config. */
#pragma once

#include "config/config.h"

/* The Makefile takes it from the file VERSION. */
#ifndef TOYVMM_VERSION
#define TOYVMM_VERSION "0.1.0"
#endif

enum cli_command { CLI_RUN, CLI_CHECK, CLI_VFIO, CLI_EXIT };
enum vfio_action { VFIO_LIST, VFIO_CHECK, VFIO_BIND, VFIO_UNBIND };

struct cli {
	enum cli_command command;
	struct vm_config config; /* CLI_RUN: validated; config_fini() is the caller's */
	enum vfio_action vfio;   /* CLI_VFIO */
	const char *device;      /* of all but VFIO_LIST: as it was written, part of argv */
	int exit_code; /* CLI_EXIT: help or version was printed (0), or the usage was wrong (2) */
};

/*
 * Parses argv, prints help and usage errors itself, sets the log level. 0, or -errno with a text (a
 * bad
 * --config file). Where cli->config is not filled it is empty, and config_fini() of it does no
 * harm.
 */
int cli_parse(struct cli *cli, int argc, char **argv, struct err *e);
