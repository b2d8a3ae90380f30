/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts one value into a struct vm_config after judging it: the same rules and words for the command
 * line and for JSON, which put "--memory: " or "vm.json:7: machine-config.mem_size_mib: " in front.
 * `written` is the value as the user wrote it, for the message.
 */
#pragma once

#include "config/config.h"

/* 0, -EINVAL: not a plain decimal number, -ERANGE: more than 64 bits. */
MUST_CHECK int parse_u64(const char *text, uint64_t *out);
/* A number of MiB, or with K, M, G or T (either case) of those. Bytes in *out; errors as above. */
MUST_CHECK int parse_size(const char *text, uint64_t *out);
/* The same with the error's text. More than 64 bits: UINT64_MAX, which is too much everywhere. */
int read_size(const char *text, uint64_t *out, struct err *e);

/* A path is not empty and holds no control character: it is shown in messages. */
int check_path(const char *path, struct err *e);
int set_path(char **path, const char *written, struct err *e);
/* A Unix socket's: fits a socket address with `spare` bytes left. */
int check_socket_path(const char *path, size_t spare, struct err *e);
/* A text that is not empty and one line. */
int set_line(char **to, const char *written, struct err *e);
int set_cmdline(struct vm_config *c, const char *written, struct err *e);
int set_cpus(struct vm_config *c, uint64_t cpus, const char *written, struct err *e);
int set_memory(struct vm_config *c, uint64_t bytes, const char *written, struct err *e);
int set_transport(struct vm_config *c, const char *name, struct err *e);

/*
 * Where a serial port or a console goes. kind: "stdio" and so on; path: NULL when none was given. The
 * SERIAL_... value, which the CONSOLE_... value of the same name equals; or -EINVAL.
 */
int place_kind(const char *kind, const char *path, struct err *e);
/* "kind=path" cut at the '=': the kind, to free(), and where the path is in `spec`, or NULL. */
int place_split(const char *spec, char **kind, const char **path, struct err *e);
int set_serial(struct vm_config *c, const char *kind, const char *path, struct err *e);
/* "stdio", "file=PATH" and so on. */
int set_serial_spec(struct vm_config *c, const char *spec, struct err *e);
