/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `toyvmm check`: what this host can run, and for each "no" why, and the mend. Facts are gathered
 * first (check_facts.c, check_devices.c) and judged then (check.c), so that tests can judge hosts that
 * they do not have.
 */
#pragma once

#include <stdio.h>

#include "base/base.h"
#include "base/err.h"

#define CHECK_MAX_CAPS 16

struct check_facts {
	/* The processor, of /proc/cpuinfo; empty strings where that could not be read. */
	char vendor[32], model[80];
	bool vmx, svm;
	unsigned cpus_online;

	/* KVM. */
	bool kvm_exists;                  /* /dev/kvm is there */
	bool kvm_group;                   /* its group may read and write it */
	int kvm_rc;                       /* of kvm_open(); what was opened is closed again */
	struct err kvm_error;             /* where kvm_rc is negative */
	bool kvm_native, kvm_paravirtual; /* modules: kvm_intel or kvm_amd; kvm_pvm */
	int cap[CHECK_MAX_CAPS];          /* in the order of check_caps */
	int max_vcpus;

	/* Back ends of devices. */
	int tun;           /* 0, or errno of opening /dev/net/tun */
	bool may_make_tap; /* CAP_NET_ADMIN over this network namespace */
	char tap[16];      /* a tap that is there and that this user may use; "": none */
	int slirp_rc;      /* of starting user networking; it is ended again */
	struct err slirp_error;
	int io_uring; /* 0, or errno of io_uring_setup(2) */
	unsigned iommu_groups;
	int vfio;         /* 0, or errno of wanting to read and write /dev/vfio/vfio */
	uint64_t memlock; /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: none */
	bool privileged; /* CAP_IPC_LOCK, as root has it: VFIO takes no notice of the limit, vDPA does */

	/* For information. */
	uint64_t memory_available; /* bytes; 0: not known */
	int vhost_net;             /* 0, or errno of wanting to read and write /dev/vhost-net */
	unsigned vdpa_devices;
	char vdpa[32];  /* the first /dev/vhost-vdpa-N; empty: there is none */
	int vdpa_error; /* 0, or errno of wanting to read and write it */
};

struct check_cap {
	int number; /* KVM_CAP_... */
	const char *name, *use;
	bool optional;
};

/* What toyvmm needs of KVM; up to one without a name. */
extern const struct check_cap check_caps[];

void check_read_facts(struct check_facts *f);
/* The part of it that is about devices. */
void check_read_devices(struct check_facts *f);
/* The part of it that reads the text of /proc/cpuinfo. */
void check_read_cpuinfo(struct check_facts *f, FILE *cpuinfo);

/* Prints the report. True: stock Linux guests run here. */
bool check_report(const struct check_facts *f, FILE *out);

/* The command. Its exit code: 0 stock Linux guests run here, 1 not. */
int check_host(void);

/*
 * False where /dev/kvm can be used but is of the paravirtual kind, on which a stock Linux kernel
 * does not run; `why` then says so in one line. Quick: for every `toyvmm run`.
 */
bool check_can_run_linux(char *why, size_t size);
