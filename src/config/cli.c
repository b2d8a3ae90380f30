// SPDX-License-Identifier: Apache-2.0
#include "config/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/help.h"
#include "config/options.h"
#include "config/text.h"

#define EXIT_USAGE 2

/* Help that nobody could read is an error: `toyvmm --help >/dev/full`. */
static int finish_stdout(struct err *e)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(e, "standard output");
	return 0;
}

static int print_help(void (*help)(FILE *), struct err *e)
{
	help(stdout);
	return finish_stdout(e);
}

static int print_version(struct err *e)
{
	printf("toyvmm %s\n", TOYVMM_VERSION);
	return finish_stdout(e);
}

static int usage_error(struct cli *cli, const char *text)
{
	log_error("%s", text);
	cli->command = CLI_EXIT;
	cli->exit_code = EXIT_USAGE;
	return 0;
}

static void set_log_level(const struct options *o)
{
	if (o->count[OPT_QUIET])
		log_level = LOG_ERROR;
	else if (o->count[OPT_VERBOSE])
		log_level = o->count[OPT_VERBOSE] > 1 ? LOG_DEBUG : LOG_INFO;
}

/* The file first, then the options, which win. What the options say is judged before the file is
 * opened. */
static int fill_config(struct cli *cli, const struct options *o, struct err *e)
{
	struct vm_config *c = &cli->config;
	struct err usage;
	int rc;

	if (options_apply(o, c, &usage) < 0)
		return usage_error(cli, usage.text);
	if (o->count[OPT_CONFIG]) {
		config_fini(c);
		config_init(c);
		rc = config_read_json(c, o->value[OPT_CONFIG], e);
		if (rc < 0)
			return rc;
		rc = options_apply(o, c, e);
		if (rc < 0)
			return rc;
	}
	rc = config_complete(c, e);
	if (rc < 0)
		return rc;
	if (config_validate(c, &usage) < 0)
		return usage_error(cli, usage.text);
	return 0;
}

static int parse_run(struct cli *cli, int argc, char **argv, struct err *e)
{
	struct options o;
	struct err usage;
	int rc;

	if (options_parse(&o, argc, argv, &usage) < 0)
		return usage_error(cli, usage.text);
	if (o.count[OPT_HELP])
		return print_help(help_run, e);
	config_init(&cli->config);
	cli->command = CLI_RUN;
	set_log_level(&o);
	rc = fill_config(cli, &o, e);
	if (rc < 0 || cli->command != CLI_RUN)
		config_fini(&cli->config);
	return rc;
}

/* For commands that take nothing: true when there is a word too many, and it was said. */
static bool has_extra(struct cli *cli, int argc, char **argv)
{
	struct err usage;

	if (argc == 0)
		return false;
	err_set(&usage, EINVAL, "unexpected argument '%s'", show(argv[0]).text);
	usage_error(cli, usage.text);
	return true;
}

static int parse_check(struct cli *cli, int argc, char **argv, struct err *e)
{
	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		return print_help(help_check, e);
	if (!has_extra(cli, argc, argv))
		cli->command = CLI_CHECK;
	return 0;
}

/* `toyvmm vfio ACTION [DEVICE]`. */
static int parse_vfio(struct cli *cli, int argc, char **argv, struct err *e)
{
	static const char *const action[] = {
		[VFIO_LIST] = "list",
		[VFIO_CHECK] = "check",
		[VFIO_BIND] = "bind",
		[VFIO_UNBIND] = "unbind",
	};
	struct err usage;
	unsigned i = 0;

	if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
		return print_help(help_vfio, e);
	while (i < ARRAY_SIZE(action) && strcmp(argv[0], action[i]) != 0)
		i++;
	if (i == ARRAY_SIZE(action)) {
		err_set(&usage, EINVAL,
			"unknown action '%s'; there are 'list', 'check', 'bind' and "
			"'unbind'",
			show(argv[0]).text);
		return usage_error(cli, usage.text);
	}
	if (i != VFIO_LIST && argc < 2) {
		err_set(&usage, EINVAL,
			"'toyvmm vfio %s' needs a device: 'toyvmm vfio %s "
			"0000:03:00.0'",
			action[i], action[i]);
		return usage_error(cli, usage.text);
	}
	cli->vfio = (enum vfio_action)i;
	cli->device = i == VFIO_LIST ? NULL : argv[1];
	if (!has_extra(cli, argc - (cli->device ? 2 : 1), argv + (cli->device ? 2 : 1)))
		cli->command = CLI_VFIO;
	return 0;
}

/* `toyvmm help [run|check|vfio]`. */
static int parse_help(struct cli *cli, int argc, char **argv, struct err *e)
{
	if (argc == 1 && strcmp(argv[0], "run") == 0)
		return print_help(help_run, e);
	if (argc == 1 && strcmp(argv[0], "check") == 0)
		return print_help(help_check, e);
	if (argc == 1 && strcmp(argv[0], "vfio") == 0)
		return print_help(help_vfio, e);
	return has_extra(cli, argc, argv) ? 0 : print_help(help_toyvmm, e);
}

static int parse_version(struct cli *cli, int argc, char **argv, struct err *e)
{
	return has_extra(cli, argc, argv) ? 0 : print_version(e);
}

static const struct command {
	const char *name;
	int (*parse)(struct cli *cli, int argc, char **argv, struct err *e);
} commands[] = {
	{"run", parse_run},           {"check", parse_check}, {"vfio", parse_vfio},
	{"help", parse_help},         {"--help", parse_help}, {"-h", parse_help},
	{"--version", parse_version}, {"-V", parse_version},
};

static int unknown_command(struct cli *cli, const char *word)
{
	struct near near = near_start(word);
	struct err usage;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		near_try(&near, commands[i].name);
	if (option_find(word) >= 0)
		err_set(&usage, EINVAL, "'%s' is an option of 'toyvmm run': put 'run' before it",
			show(word).text);
	else if (near.best)
		err_set(&usage, EINVAL, "unknown command '%s'; did you mean '%s'?", show(word).text,
			near.best);
	else
		err_set(&usage, EINVAL, "unknown command '%s'; there are 'run', 'check' and 'vfio'",
			show(word).text);
	return usage_error(cli, usage.text);
}

int cli_parse(struct cli *cli, int argc, char **argv, struct err *e)
{
	*cli = (struct cli){.command = CLI_EXIT};
	if (argc < 2) {
		help_short(stderr);
		cli->exit_code = EXIT_USAGE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].parse(cli, argc - 2, argv + 2, e);
	return unknown_command(cli, argv[1]);
}
