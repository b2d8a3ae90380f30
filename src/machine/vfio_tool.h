/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `toyvmm vfio list|check|bind|unbind`: this host's PCI devices and whether they can be passed to a guest. Facts come
 * from passthru/host.h; what is printed is judged here from them, so that tests can bring hosts of their own.
 */
#pragma once

#include <stdio.h>

#include "config/cli.h"
#include "passthru/host.h"

/* What a passed-through device needs of the host, beside the device. */
struct vfio_host {
	const char *root; /* in front of /sys and /dev: "" */
	int container;    /* 0, or errno of wanting to read and write /dev/vfio/vfio */
	int group;        /* the same of /dev/vfio/N of the device in question */
	uint64_t memlock; /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: none */
	bool privileged;  /* CAP_IPC_LOCK, as root has it: the limit does not count */
};

/* One line a device, groups together. 0, or -errno with a text. */
int vfio_list(const char *root, FILE *out, struct err *e);
/* The report on one device; *works: toyvmm run --vfio would take it as things are. 0, or -errno with a text. */
int vfio_check(const struct vfio_host *h, const char *bdf, bool *works, FILE *out, struct err *e);

/* The command. 0; 1: check says that it will not work; -errno with a text. */
int vfio_tool(enum vfio_action action, const char *written, struct err *e);
