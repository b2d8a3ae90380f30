// SPDX-License-Identifier: Apache-2.0
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/vm.h"
#include "machine/check.h"

/* api.rst says of each what it is; the use is ours. */
const struct check_cap check_caps[] = {
	{KVM_CAP_USER_MEMORY, "USER_MEMORY", "guest memory", false},
	{KVM_CAP_IRQCHIP, "IRQCHIP", "interrupt controllers", false},
	{KVM_CAP_PIT2, "PIT2", "the timer", false},
	{KVM_CAP_IRQFD, "IRQFD", "interrupts of devices", false},
	{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING", "message-signalled interrupts", false},
	{KVM_CAP_IOEVENTFD, "IOEVENTFD", "doorbells of devices", false},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH", "doorbells of PCI devices", true},
	{KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR", "real mode on Intel", false},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "SET_IDENTITY_MAP_ADDR", "real mode on Intel", false},
	{KVM_CAP_EXT_CPUID, "EXT_CPUID", "the guest's CPUID", false},
	{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", "stopping vCPUs", false},
	{KVM_CAP_TSC_DEADLINE_TIMER, "TSC_DEADLINE_TIMER", "cheap timers", true},
	{0},
};

_Static_assert(ARRAY_SIZE(check_caps) - 1 <= CHECK_MAX_CAPS,
	       "struct check_facts has a place for each");

/* "name<spaces>: value\n": the value when the line is of that name, else NULL. Cuts the newline
 * off. */
static char *field(char *line, const char *name)
{
	size_t len = strlen(name);
	char *colon = strchr(line, ':');

	if (strncmp(line, name, len) != 0 || !colon ||
	    strspn(line + len, " \t") < (size_t)(colon - line) - len)
		return NULL;
	colon[strcspn(colon, "\n")] = '\0';
	return colon + 1 + strspn(colon + 1, " ");
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len)
		if ((p == text || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	return false;
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)size - 1, from);
}

/* The first processor speaks for all: flags that only some have are no use to a VM. */
void check_read_cpuinfo(struct check_facts *f, FILE *cpuinfo)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, cpuinfo) > 1) { /* an empty line ends the first one */
		char *value;

		if ((value = field(line, "vendor_id"))) {
			copy_text(f->vendor, sizeof(f->vendor), value);
		} else if ((value = field(line, "model name"))) {
			copy_text(f->model, sizeof(f->model), value);
		} else if ((value = field(line, "flags"))) {
			f->vmx = has_word(value, "vmx");
			f->svm = has_word(value, "svm");
		}
	}
	free(line);
}

static void read_meminfo(struct check_facts *f)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char *line = NULL;
	size_t size = 0;

	while (meminfo && getline(&line, &size, meminfo) > 0) {
		char *value = field(line, "MemAvailable");

		if (value)
			f->memory_available = strtoull(value, NULL, 10) * KIB;
	}
	free(line);
	if (meminfo)
		fclose(meminfo);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int wanted_access(const char *path)
{
	return access(path, R_OK | W_OK) == 0 ? 0 : errno;
}

static void read_modules(bool *native, bool *paravirtual)
{
	*native = exists("/sys/module/kvm_intel") || exists("/sys/module/kvm_amd");
	*paravirtual = exists("/sys/module/kvm_pvm");
}

static void read_kvm(struct check_facts *f)
{
	const mode_t group_rw = S_IRGRP | S_IWGRP;
	struct stat st;
	struct kvm kvm;

	f->kvm_exists = stat("/dev/kvm", &st) == 0;
	f->kvm_group = f->kvm_exists && (st.st_mode & group_rw) == group_rw;
	read_modules(&f->kvm_native, &f->kvm_paravirtual);
	f->kvm_rc = kvm_open(&kvm, &f->kvm_error);
	if (f->kvm_rc < 0)
		return;
	for (int i = 0; check_caps[i].name; i++)
		f->cap[i] = kvm_extension(&kvm, check_caps[i].number);
	f->max_vcpus = kvm_extension(&kvm, KVM_CAP_MAX_VCPUS);
	if (f->max_vcpus == 0) /* api.rst, 4.7: then NR_VCPUS says it, and 4 without that */
		f->max_vcpus = kvm_extension(&kvm, KVM_CAP_NR_VCPUS);
	if (f->max_vcpus == 0)
		f->max_vcpus = 4;
	kvm_close(&kvm);
}

void check_read_facts(struct check_facts *f)
{
	FILE *cpuinfo = fopen("/proc/cpuinfo", "re");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*f = (struct check_facts){.cpus_online = cpus > 0 ? (unsigned)cpus : 1};
	if (cpuinfo) {
		check_read_cpuinfo(f, cpuinfo);
		fclose(cpuinfo);
	}
	read_meminfo(f);
	read_kvm(f);
	check_read_devices(f);
}

/* Intel SDM volume 3, 24.6: CPUID.1:ECX.VMX[5]. AMD APM volume 2, 15.4: CPUID 8000_0001:ECX[2] is
 * SVM. */
static bool cpu_has_virtualization(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 5)))
		return true;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & (1u << 2));
}

/* CPUID rather than /proc/cpuinfo, in which some kernels wait to measure frequencies. */
bool check_can_run_linux(char *why, size_t size)
{
	bool native, paravirtual;

	if (wanted_access("/dev/kvm") != 0)
		return true; /* there will be an error; a warning before it would only be in its way
			      */
	read_modules(&native, &paravirtual);
	if (cpu_has_virtualization() && (native || !paravirtual))
		return true;
	snprintf(why, size,
		 "this host's KVM is paravirtual (no vmx or svm): a stock Linux kernel does not "
		 "run on "
		 "it; 'make run_linux' boots in the nested lab instead");
	return false;
}
