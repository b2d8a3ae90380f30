/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a configuration: their fields as tables, for the command line (config/list.h) and
 * for JSON, and what each of them must obey by itself.
 */
#pragma once

#include "config/config.h"
#include "config/list.h"

/* One more of a kind, at the end, with its defaults. NULL, with a text: too many, or out of memory. */
struct disk_config *config_add_disk(struct vm_config *c, struct err *e);
struct net_config *config_add_net(struct vm_config *c, struct err *e);
struct elsewhere_config *config_add_vdpa(struct vm_config *c, struct err *e);
struct console_config *config_add_console(struct vm_config *c, struct err *e);
struct elsewhere_config *config_add_vfio(struct vm_config *c, struct err *e);
struct elsewhere_config *config_add_vfio_user(struct vm_config *c, struct err *e);
struct vhost_user_config *config_add_vhost_user(struct vm_config *c, struct err *e);
void config_free_devices(struct vm_config *c);

extern const struct list disk_list, net_list, console_list, vsock_list, balloon_list,
	host_device_list, vfio_user_list, vhost_user_option_list, fs_list;
extern const struct field disk_fields[], net_fields[], console_fields[], vsock_fields[],
	balloon_fields[], rng_fields[], host_device_fields[], vfio_user_fields[],
	vhost_user_fields[], fs_fields[];

/* What one device says, without a look at the others. */
int disk_check(const struct disk_config *d, struct err *e);
int net_check(const struct net_config *n, struct err *e);
int vdpa_check(const struct elsewhere_config *v, struct err *e);
int console_check(const struct console_config *c, struct err *e);
int vhost_user_check(const struct vhost_user_config *v, struct err *e);
int vsock_check(const struct vsock_config *v, struct err *e);

/* "rate_limiter" and its like: the fields of a struct limit_config. */
extern const struct field limit_fields[];
/* `tokens` in every second. */
struct bucket_config bucket_per_second(uint64_t tokens);
#define BUCKET_MAX (1ULL << 53) /* tokens: what JSON can say exactly */

/* Six bytes, of one interface. */
int read_mac(uint8_t to[6], const struct given *given, struct err *e);
/* An id is a name of letters, digits, '_', '-' and '.', at most 64 of them. */
int set_id(char **id, const char *written, struct err *e);
