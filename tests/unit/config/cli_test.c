// SPDX-License-Identifier: Apache-2.0
#include "config/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "base/log.h"
#include "capture.h"
#include "config/options.h"

struct outcome {
	struct cli cli;
	struct err e;
	int rc;
	struct capture out, err;
};

/* cli_parse() of the words, which end with a NULL, and what it printed meanwhile. */
static void parse(struct outcome *o, const char *const *words)
{
	char *argv[64] = {(char *)"toyvmm"};
	int argc = 1;

	for (; *words; words++)
		argv[argc++] = (char *)*words;
	capture_start(&o->out, STDOUT_FILENO);
	capture_start(&o->err, STDERR_FILENO);
	o->rc = cli_parse(&o->cli, argc, argv, &o->e);
	capture_end(&o->err);
	capture_end(&o->out);
}

#define PARSE(o, ...) parse(o, (const char *const[]){__VA_ARGS__, NULL})

/* The words are wrong usage: exit code 2 and exactly this line. */
#define WRONG(line, ...) wrong(line, (const char *const[]){__VA_ARGS__, NULL})
static void wrong(const char *line, const char *const *words)
{
	struct outcome o;

	parse(&o, words);
	CHECK_STR(line, o.err.text);
	CHECK_STR("", o.out.text);
	CHECK_EQ(0, o.rc);
	CHECK_EQ(CLI_EXIT, o.cli.command);
	CHECK_EQ(2, o.cli.exit_code);
	config_fini(&o.cli.config);
}

/* The words after "run" make this configuration; the caller frees it. */
#define RUN(...) run((const char *const[]){"run", __VA_ARGS__, NULL})
static struct vm_config run(const char *const *words)
{
	struct outcome o;

	parse(&o, words);
	CHECK_STR("", o.err.text);
	CHECK_EQ(0, o.rc);
	CHECK_EQ(CLI_RUN, o.cli.command);
	return o.cli.config;
}

TEST(run_needs_nothing_but_a_kernel)
{
	struct vm_config c = RUN("--kernel", "vmlinux");

	CHECK_STR("vmlinux", c.kernel);
	CHECK(c.initrd == NULL && c.cmdline == NULL && c.serial.path == NULL);
	CHECK_EQ(1, c.cpus);
	CHECK_EQ(CONFIG_DEFAULT_MEMORY, c.memory);
	CHECK_EQ(SERIAL_STDIO, c.serial.kind);
	config_fini(&c);
}

static void check_everything(struct vm_config *c)
{
	CHECK_STR("k", c->kernel);
	CHECK_STR("i", c->initrd);
	CHECK_STR("console=ttyS0 quiet", c->cmdline);
	CHECK_EQ(4, c->cpus);
	CHECK_EQ(2 * GIB, c->memory);
	CHECK_EQ(SERIAL_FILE, c->serial.kind);
	CHECK_STR("log", c->serial.path);
	config_fini(c);
}

TEST(run_takes_every_option_in_every_form)
{
	struct vm_config c;

	c = RUN("--kernel", "k", "--initrd", "i", "--cmdline", "console=ttyS0 quiet", "--cpus", "4",
		"--memory", "2G", "--serial", "file=log");
	check_everything(&c);
	c = RUN("--kernel=k", "--initrd=i", "--cmdline=console=ttyS0 quiet", "--cpus=4",
		"--memory=2G", "--serial=file=log");
	check_everything(&c);
	c = RUN("-k", "k", "-i", "i", "-c", "console=ttyS0 quiet", "-n", "4", "-m", "2048", "-s",
		"file=log");
	check_everything(&c);
	c = RUN("-kk", "-ii", "-cconsole=ttyS0 quiet", "-n4", "-m2g", "-sfile=log", "--");
	check_everything(&c);
}

TEST(run_takes_a_value_that_looks_like_no_option_of_ours)
{
	struct vm_config c = RUN("-k", "-dash", "-i", "--unknown", "--cmdline", "-- -v=1");

	CHECK_STR("-dash", c.kernel);
	CHECK_STR("--unknown", c.initrd);
	CHECK_STR("-- -v=1", c.cmdline);
	config_fini(&c);
	c = RUN("--kernel=--initrd");
	CHECK_STR("--initrd", c.kernel);
	config_fini(&c);
}

TEST(verbose_and_quiet_set_the_log_level)
{
	enum log_level before = log_level;
	struct vm_config c;

	c = RUN("-k", "k", "-v");
	config_fini(&c);
	CHECK_EQ(LOG_INFO, log_level);
	c = RUN("-k", "k", "-vv");
	config_fini(&c);
	CHECK_EQ(LOG_DEBUG, log_level);
	c = RUN("-k", "k", "--verbose", "--verbose");
	config_fini(&c);
	CHECK_EQ(LOG_DEBUG, log_level);
	c = RUN("-k", "k", "-q");
	config_fini(&c);
	CHECK_EQ(LOG_ERROR, log_level);
	log_level = before;
}

TEST(no_command_is_a_short_usage_and_exit_code_2)
{
	struct outcome o;

	parse(&o, (const char *const[]){NULL});
	CHECK_EQ(CLI_EXIT, o.cli.command);
	CHECK_EQ(2, o.cli.exit_code);
	CHECK_HAS(o.err.text, "Usage: toyvmm run --kernel FILE");
	CHECK_STR("", o.out.text);
}

TEST(an_empty_argv_is_a_short_usage_too)
{
	char *argv[] = {NULL};
	struct outcome o;

	capture_start(&o.err, STDERR_FILENO);
	CHECK_EQ(0, cli_parse(&o.cli, 0, argv, &o.e));
	capture_end(&o.err);
	CHECK_EQ(2, o.cli.exit_code);
	CHECK_HAS(o.err.text, "Usage:");
}

TEST(help_goes_to_standard_output_with_exit_code_0)
{
	static const char *const words[][3] = {{"--help"},       {"-h"},
					       {"help"},         {"run", "--help"},
					       {"run", "-h"},    {"help", "run"},
					       {"check", "-h"},  {"check", "--help"},
					       {"help", "check"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *argv[] = {words[i][0], words[i][1], NULL};
		struct outcome o;

		parse(&o, argv);
		CHECK_EQ(0, o.rc);
		CHECK_EQ(CLI_EXIT, o.cli.command);
		CHECK_EQ(0, o.cli.exit_code);
		CHECK_STR("", o.err.text);
		CHECK_HAS(o.out.text, "toyvmm");
		config_fini(&o.cli.config);
	}
}

TEST(run_help_shows_every_option_with_an_example)
{
	struct outcome o;

	PARSE(&o, "run", "-k", "a", "--help", "--nonsense");
	for (int i = 0; i < N_OPTIONS; i++) {
		const struct option_row *row = &option_rows[i];
		char start[64], letter[8] = "";

		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		snprintf(start, sizeof(start), "  %s--%s", letter, row->name);
		CHECK_HAS(o.out.text, start);
		CHECK_HAS(o.out.text, row->example);
		for (const struct field *f = row->list ? row->list->fields : NULL;
		     f && f->type != FIELD_END; f++)
			if (f->option)
				CHECK_HAS(o.out.text, f->option);
	}
	CHECK_HAS(o.out.text, "Ctrl-A x");
}

TEST(every_example_of_the_help_is_right)
{
	for (int i = 0; i < N_OPTIONS; i++) {
		char text[128] = "", *argv[8];
		struct options o;
		struct vm_config c;
		struct err e;
		int argc = 0;

		snprintf(text, sizeof(text), "%s", option_rows[i].example);
		for (char *p = text; p; argc++) {
			char end = *p == '\'' ? *p++ : ' ';

			argv[argc] = p;
			p = strchr(p, end);
			if (p)
				*p++ = '\0';
			if (p)
				p = *p == ' ' ? p + 1 : *p ? p : NULL;
		}
		CHECK_EQ(0, options_parse(&o, argc, argv, &e));
		CHECK(o.count[i]);
		config_init(&c);
		CHECK_EQ(0, options_apply(&o, &c, &e));
		config_fini(&c);
	}
}

TEST(option_rows_are_whole_and_letters_are_used_once)
{
	for (int i = 0; i < N_OPTIONS; i++) {
		char word[3] = {'-', option_rows[i].letter, '\0'};

		CHECK(option_rows[i].name && option_rows[i].help && option_rows[i].example);
		if (option_rows[i].letter)
			CHECK_EQ(i, option_find(word));
	}
}

TEST(version_is_a_semver_in_word_2_of_line_1)
{
	struct outcome o;
	int a, b, c, end = 0;

	PARSE(&o, "--version");
	CHECK_EQ(3, sscanf(o.out.text, "toyvmm %d.%d.%d\n%n", &a, &b, &c, &end));
	CHECK_EQ(strlen(o.out.text), end);
	CHECK_EQ(0, o.cli.exit_code);
	PARSE(&o, "-V");
	CHECK_STR("toyvmm " TOYVMM_VERSION "\n", o.out.text);
}

TEST(help_that_cannot_be_written_is_an_error)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), saved = dup(STDOUT_FILENO);
	char *argv[] = {(char *)"toyvmm", (char *)"--help", NULL};
	struct cli cli;
	struct err e;

	fflush(stdout);
	CHECK(full >= 0 && saved >= 0);
	dup2(full, STDOUT_FILENO);
	CHECK_EQ(-ENOSPC, cli_parse(&cli, 2, argv, &e));
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(full);
	clearerr(stdout);
	CHECK_STR("standard output: No space left on device", e.text);
}

TEST(check_takes_nothing)
{
	struct outcome o;

	PARSE(&o, "check");
	CHECK_EQ(0, o.rc);
	CHECK_EQ(CLI_CHECK, o.cli.command);
	WRONG("toyvmm: unexpected argument 'now'\n", "check", "now");
	WRONG("toyvmm: unexpected argument '--version'\n", "help", "--version");
	WRONG("toyvmm: unexpected argument 'x'\n", "--version", "x");
}

TEST(unknown_command_names_the_nearest)
{
	WRONG("toyvmm: unknown command 'rum'; did you mean 'run'?\n", "rum");
	WRONG("toyvmm: unknown command 'chek'; did you mean 'check'?\n", "chek", "x");
	WRONG("toyvmm: unknown command '--hepl'; did you mean '--help'?\n", "--hepl");
	WRONG("toyvmm: unknown command 'destroy'; there are 'run', 'check' and 'vfio'\n", "destroy");
	WRONG("toyvmm: unknown command ''; there are 'run', 'check' and 'vfio'\n", "");
	WRONG("toyvmm: '--kernel=a' is an option of 'toyvmm run': put 'run' before it\n",
	      "--kernel=a");
	WRONG("toyvmm: '-k' is an option of 'toyvmm run': put 'run' before it\n", "-k", "a");
}

TEST(unknown_option_names_the_nearest)
{
	WRONG("toyvmm: unknown option '--kernal'; did you mean '--kernel'?\n", "run", "--kernal=a");
	WRONG("toyvmm: unknown option '--mem'; did you mean '--memory'?\n", "run", "--mem", "1");
	WRONG("toyvmm: unknown option '-Cpus'; did you mean '--cpus'?\n", "run", "-Cpus");
}

TEST(unknown_option_far_from_all_points_to_the_help)
{
	WRONG("toyvmm: unknown option '--printer'; 'toyvmm run --help' shows all\n", "run",
	      "--printer", "a");
	WRONG("toyvmm: unknown option '-x'; 'toyvmm run --help' shows all\n", "run", "-x");
	WRONG("toyvmm: unknown option '--\\x0a'; 'toyvmm run --help' shows all\n", "run", "--\n");
	WRONG("toyvmm: unknown option '--'; 'toyvmm run --help' shows all\n", "run", "--=a");
}

TEST(option_given_twice_is_refused_in_any_form)
{
	WRONG("toyvmm: --kernel is given twice\n", "run", "--kernel", "a", "--kernel", "b");
	WRONG("toyvmm: --kernel is given twice\n", "run", "-ka", "--kernel=a");
	WRONG("toyvmm: --config is given twice\n", "run", "-f", "a", "-f", "b");
}

TEST(forgotten_value_is_named)
{
	WRONG("toyvmm: --kernel needs a value: --kernel FILE\n", "run", "--kernel");
	WRONG("toyvmm: --memory needs a value: --memory SIZE\n", "run", "-k", "a", "-m");
	WRONG("toyvmm: --kernel needs a value, but the option '--initrd' follows\n", "run",
	      "--kernel", "--initrd", "a");
	WRONG("toyvmm: --kernel needs a value, but the option '--initrd=a' follows\n", "run", "-k",
	      "--initrd=a");
	WRONG("toyvmm: --kernel needs a value, but the option '-i' follows\n", "run", "-k", "-i",
	      "a");
}

TEST(value_for_an_option_without_one_is_refused)
{
	WRONG("toyvmm: --quiet takes no value\n", "run", "--quiet=1");
	WRONG("toyvmm: --help takes no value\n", "run", "--help=");
	WRONG("toyvmm: unknown option '-q1'; 'toyvmm run --help' shows all\n", "run", "-q1");
}

TEST(contradiction_of_verbose_and_quiet_is_refused)
{
	WRONG("toyvmm: --verbose and --quiet contradict each other\n", "run", "-k", "a", "-vq");
}

TEST(words_that_are_no_options_are_refused)
{
	WRONG("toyvmm: unexpected argument 'vmlinux': files are named by options, a kernel by "
	      "--kernel\n",
	      "run", "vmlinux");
	WRONG("toyvmm: unexpected argument '': files are named by options, a kernel by --kernel\n",
	      "run", "");
	WRONG("toyvmm: unexpected argument '-': files are named by options, a kernel by --kernel\n",
	      "run", "-k", "a", "-");
	WRONG("toyvmm: unexpected argument '-v': files are named by options, a kernel by "
	      "--kernel\n",
	      "run", "-k", "a", "--", "-v");
}

TEST(no_kernel_is_wrong_usage)
{
	WRONG("toyvmm: no kernel is named: --kernel FILE, or --config FILE with "
	      "boot-source.kernel_image_path\n",
	      "run");
}

TEST(wrong_values_name_option_and_value)
{
	WRONG("toyvmm: --kernel: the file name is empty\n", "run", "--kernel=");
	WRONG("toyvmm: --initrd: the file name is empty\n", "run", "-k", "a", "-i", "");
	WRONG("toyvmm: --config: the file name is empty\n", "run", "-f", "");
	WRONG("toyvmm: --cmdline: character 2 is a control character (0x0a); the kernel's command "
	      "line is one line of text\n",
	      "run", "-k", "a", "-c", "a\nb");
	WRONG("toyvmm: --serial: 'file' needs a path\n", "run", "-k", "a", "-s", "file=");
	WRONG("toyvmm: --memory: '12x' is not a size: write 512M or 2G; a plain number is MiB\n",
	      "run", "-k", "a", "--memory", "12x");
	WRONG("toyvmm: --memory: '' is not a size: write 512M or 2G; a plain number is MiB\n",
	      "run", "-k", "a", "--memory=");
	WRONG("toyvmm: --memory: '-1' is not a size: write 512M or 2G; a plain number is MiB\n",
	      "run", "-k", "a", "-m", "-1");
	WRONG("toyvmm: --memory: '18446744073709551615' is too much: at most 8 TiB\n", "run", "-k",
	      "a", "-m", "18446744073709551615");
	WRONG("toyvmm: --memory: '18446744073709551615T' is too much: at most 8 TiB\n", "run", "-k",
	      "a", "-m", "18446744073709551615T");
}

TEST(wrong_cpu_counts_are_all_named_alike)
{
	static const char *const counts[] = {
		"0", "-1",  "256", "4294967297", "18446744073709551616",
		"",  "1.0", "4x",  "0x4",        " 4"};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		char line[128];

		snprintf(line, sizeof(line),
			 "toyvmm: --cpus: '%s' is not a whole number from 1 to 255\n", counts[i]);
		WRONG(line, "run", "-k", "a", "-n", counts[i]);
	}
}

TEST(usage_is_judged_before_the_config_file_is_opened)
{
	WRONG("toyvmm: --cpus: '0' is not a whole number from 1 to 255\n", "run", "--cpus=0",
	      "--config", "/nonexistent");
}

TEST(long_garbage_is_cut_to_one_line)
{
	char garbage[5000];
	struct outcome o;

	memset(garbage, 'g', sizeof(garbage));
	garbage[sizeof(garbage) - 1] = '\0';
	PARSE(&o, "run", garbage);
	CHECK_EQ(2, o.cli.exit_code);
	CHECK(strlen(o.err.text) < 512);
	CHECK_HAS(o.err.text, "ggg...': files are named by options");
}

TEST(options_win_over_the_config_file)
{
	static const char json[] = "{\"boot-source\": {\"kernel_image_path\": \"from-file\", "
				   "\"boot_args\": \"quiet\"}, "
				   "\"machine-config\": {\"vcpu_count\": 2, \"mem_size_mib\": 64}, "
				   "\"serial\": {\"serial_out_path\": \"log\"}}";
	char path[32];
	struct vm_config c;

	temp_file(path, json, sizeof(json) - 1);
	c = RUN("--memory=1G", "--config", path, "--serial", "none");
	unlink(path);
	CHECK_STR("from-file", c.kernel);
	CHECK_STR("quiet", c.cmdline);
	CHECK_EQ(2, c.cpus);
	CHECK_EQ(GIB, c.memory);
	CHECK_EQ(SERIAL_NONE, c.serial.kind);
	CHECK(c.serial.path == NULL);
	config_fini(&c);
}

TEST(devices_of_options_follow_those_of_the_config_file)
{
	static const char json[] = "{\"boot-source\": {\"kernel_image_path\": \"k\"},"
				   "\"drives\": [{\"path_on_host\": \"a\"}]}";
	char path[32];
	struct vm_config c;

	temp_file(path, json, sizeof(json) - 1);
	c = RUN("--disk", "b", "--config", path, "-dc,ro", "--rng");
	unlink(path);
	CHECK_EQ(3, c.n_disks);
	CHECK_STR("a", c.disk[0].path);
	CHECK_STR("b", c.disk[1].path);
	CHECK_STR("c", c.disk[2].path);
	CHECK_STR("disk2", c.disk[2].id);
	CHECK(c.rng.enabled);
	config_fini(&c);
}

TEST(contradictions_between_devices_are_wrong_usage)
{
	WRONG("toyvmm: the serial port and a console both want the terminal (stdio)\n", "run", "-k",
	      "a", "--console", "stdio", "--serial", "stdio");
	WRONG("toyvmm: --disk: 'redonly' is unknown; did you mean 'readonly'?\n", "run", "-k", "a",
	      "--disk", "a,redonly");
	WRONG("toyvmm: --rng takes no value\n", "run", "-k", "a", "--rng=off");
}

TEST(options_beyond_reason_are_refused)
{
	char *argv[OPTIONS_MAX + 1];
	struct options o;
	struct err e;

	for (int i = 0; i <= OPTIONS_MAX; i++)
		argv[i] = (char *)"-v";
	CHECK_EQ(0, options_parse(&o, OPTIONS_MAX, argv, &e));
	CHECK_EQ(-EINVAL, options_parse(&o, OPTIONS_MAX + 1, argv, &e));
	CHECK_STR("more than 256 options", e.text);
}

TEST(a_bad_config_file_is_an_error_with_an_empty_config)
{
	struct outcome o;

	PARSE(&o, "run", "--config", "/nonexistent/vm.json");
	CHECK_EQ(-ENOENT, o.rc);
	CHECK_STR("config '/nonexistent/vm.json': No such file or directory", o.e.text);
	CHECK_STR("", o.err.text);
	CHECK(o.cli.config.kernel == NULL);
	config_fini(&o.cli.config);
}
