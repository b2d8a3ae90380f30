// SPDX-License-Identifier: Apache-2.0
#include "machine/check.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

#include "config/cli.h"

enum verdict { NO, YES, INFO };

/* One item: "  yes  what        detail". */
static bool item(FILE *out, enum verdict v, const char *what, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

static bool item(FILE *out, enum verdict v, const char *what, const char *fmt, ...)
{
	static const char *const word[] = {[NO] = "no", [YES] = "yes", [INFO] = "-"};
	va_list ap;

	fprintf(out, "  %-3s  %-29s ", word[v], what);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
	return v != NO;
}

/* What follows a "no": the reason and what to do. */
static void mend(FILE *out, const char *why, const char *how)
{
	fprintf(out, "         why:  %s\n         mend: %s\n", why, how);
}

static bool has_flag(const struct check_facts *f)
{
	return f->vmx || f->svm;
}

static bool check_device(const struct check_facts *f, FILE *out)
{
	const char *module = strcmp(f->vendor, "GenuineIntel") == 0 ? "kvm_intel" : "kvm_amd";
	char how[160];

	if (f->kvm_exists)
		return item(out, YES, "/dev/kvm", "is there");
	item(out, NO, "/dev/kvm", "is not there");
	if (has_flag(f)) {
		snprintf(how, sizeof(how),
			 "sudo modprobe %s; if that fails, 'sudo dmesg | grep -i kvm' tells "
			 "whether the firmware forbids it",
			 module);
		mend(out, "the CPU can virtualize, but KVM's module is not loaded", how);
	} else {
		mend(out, "no virtualization in this CPU, or the firmware or the cloud hides it",
		     "enable VT-x or AMD-V in the firmware, or nested virtualization where this is "
		     "a virtual machine");
	}
	return false;
}

static bool check_access(const struct check_facts *f, FILE *out)
{
	if (!f->kvm_exists)
		return item(out, INFO, "access to /dev/kvm", "not known without it");
	if (f->kvm_rc != -EACCES && f->kvm_rc != -EPERM)
		return item(out, YES, "access to /dev/kvm", "read and write");
	item(out, NO, "access to /dev/kvm", "not for this user");
	if (f->kvm_group)
		mend(out, "only root and the device's group may use it",
		     "sudo usermod -aG \"$(stat -c %G /dev/kvm)\" \"$USER\", then log in again; or "
		     "use sudo");
	else
		mend(out, "only root may use it",
		     "use sudo, or: sudo chgrp kvm /dev/kvm && sudo chmod g+rw /dev/kvm, and join "
		     "the group kvm");
	return false;
}

/* kvm_open() checks the API's version and makes a VM. */
static bool check_vm(const struct check_facts *f, FILE *out)
{
	if (!f->kvm_exists || f->kvm_rc == -EACCES || f->kvm_rc == -EPERM)
		return item(out, INFO, "making a virtual machine",
			    "not known without access to /dev/kvm");
	if (f->kvm_rc == 0)
		return item(out, YES, "making a virtual machine", "KVM API version 12");
	item(out, NO, "making a virtual machine", "KVM refuses");
	mend(out, f->kvm_error.text,
	     f->kvm_rc == -EBUSY
		     ? "end the other hypervisor that uses the CPU's virtualization"
		     : "load the kernel's own kvm_intel or kvm_amd module again; see 'sudo dmesg'");
	return false;
}

static bool check_flag(const struct check_facts *f, FILE *out)
{
	static const char what[] = "hardware virtualization";

	if (has_flag(f) && !(f->kvm_paravirtual && !f->kvm_native))
		return item(out, YES, what, "%s", f->vmx ? "Intel VT-x (vmx)" : "AMD-V (svm)");
	if (has_flag(f)) {
		item(out, NO, what, "%s, but KVM does not use it", f->vmx ? "Intel VT-x" : "AMD-V");
		mend(out,
		     "the paravirtual kvm_pvm serves /dev/kvm; a stock Linux kernel does not run "
		     "on it",
		     "sudo rmmod kvm_pvm && sudo modprobe kvm_intel (or kvm_amd)");
		return false;
	}
	item(out, NO, what, "neither vmx nor svm in /proc/cpuinfo");
	if (f->kvm_exists)
		mend(out,
		     "this KVM is paravirtual: it runs bare-metal guests and patched kernels, no "
		     "stock Linux",
		     "'make run_linux' boots Linux in the nested lab; or use a host with VT-x or "
		     "AMD-V");
	else
		mend(out, "there is none here, or it is switched off",
		     "'make run_linux' boots Linux in the nested lab; or see /dev/kvm above");
	return false;
}

static bool check_capability(const struct check_cap *cap, bool there, FILE *out)
{
	char what[64];

	snprintf(what, sizeof(what), "KVM_CAP_%s", cap->name);
	if (there)
		return item(out, YES, what, "for %s", cap->use);
	if (cap->optional)
		return item(out, INFO, what, "not there, can be done without (for %s)", cap->use);
	item(out, NO, what, "not there (for %s)", cap->use);
	mend(out, "this kernel's KVM is too old or was built without it",
	     "run Linux 4.14 or newer on this host");
	return false;
}

static bool check_capabilities(const struct check_facts *f, FILE *out)
{
	bool all = true;

	if (f->kvm_rc < 0)
		return item(out, INFO, "KVM's capabilities", "not known without a virtual machine");
	for (int i = 0; check_caps[i].name; i++)
		all &= check_capability(&check_caps[i], f->cap[i] > 0, out);
	item(out, YES, "vCPUs", "up to %d in one virtual machine",
	     MIN(f->max_vcpus, CONFIG_MAX_CPUS));
	return all;
}

/* A tap needs /dev/net/tun, and either the privilege to make one or one that root has made for this user. */
static void check_tap(const struct check_facts *f, FILE *out)
{
	static const char what[] = "tap networks (--net tap)";

	if (f->tun == ENOENT || f->tun == ENODEV || f->tun == ENXIO) {
		item(out, NO, what, "/dev/net/tun is not there");
		mend(out, "the kernel's module is not loaded, or this container has no such device",
		     "sudo modprobe tun; or '--net user', which does without");
	} else if (f->tun != 0) {
		item(out, NO, what, "/dev/net/tun: %s", strerror(f->tun));
		mend(out, "this user may not open it",
		     "sudo chmod 666 /dev/net/tun, which by itself permits nothing but to ask; or "
		     "'--net user', which does without");
	} else if (f->may_make_tap) {
		item(out, YES, what, "toyvmm may make one itself");
	} else if (f->tap[0]) {
		item(out, YES, what, "--net tap=%s: this user may use it", f->tap);
	} else {
		item(out, NO, what, "/dev/net/tun can be opened, but no tap is this user's");
		mend(out, "making one needs CAP_NET_ADMIN",
		     "once: sudo ip tuntap add dev tap0 mode tap user \"$USER\" && sudo ip link "
		     "set tap0 up, then '--net tap=tap0'; or '--net user', which does without");
	}
}

static void check_user_network(const struct check_facts *f, FILE *out)
{
	static const char what[] = "user networking (--net user)";

	if (f->slirp_rc == 0) {
		item(out, YES, what, "needs neither permission nor set-up");
		return;
	}
	item(out, NO, what, "its helper process does not start");
	mend(out, f->slirp_error.text,
	     f->slirp_rc == -ENOENT ? "sudo apt-get install libslirp0"
				    : "docs/net.md tells how it is started and what it needs");
}

static void check_io_uring(const struct check_facts *f, FILE *out)
{
	static const char what[] = "io_uring";

	if (f->io_uring == 0) {
		item(out, YES, what, "for disks");
		return;
	}
	item(out, NO, what, "%s; disks are served by threads", strerror(f->io_uring));
	if (f->io_uring == ENOMEM)
		mend(out, "older kernels count its memory as locked", "raise 'ulimit -l'");
	else if (f->io_uring == ENOSYS)
		mend(out, "this kernel has none", "none is needed; Linux 5.6 or newer has it");
	else
		mend(out, "kernel.io_uring_disabled, or a container's seccomp filter, forbids it",
		     "sudo sysctl kernel.io_uring_disabled=0; it works without, at a lower speed");
}

/* Which device can be passed is what 'toyvmm vfio check' tells; this is what all of them need. */
static void check_passthrough(const struct check_facts *f, FILE *out)
{
	static const char what[] = "PCI passthrough (--vfio)";

	if (f->iommu_groups == 0) {
		item(out, NO, what, "there is no IOMMU group");
		mend(out,
		     "the IOMMU is off, or there is none: nothing keeps a device from the "
		     "host's memory",
		     "enable VT-d or AMD-Vi in the firmware; on Intel add intel_iommu=on to the "
		     "kernel's command line");
	} else if (f->vfio != 0) {
		item(out, NO, what, "%u IOMMU groups, but /dev/vfio/vfio: %s", f->iommu_groups,
		     strerror(f->vfio));
		if (f->vfio == ENOENT || f->vfio == ENODEV)
			mend(out, "VFIO's module is not loaded", "sudo modprobe vfio-pci");
		else
			mend(out, "this user may not open it",
			     "sudo chmod 666 /dev/vfio/vfio, which by itself permits nothing: a "
			     "device's group has a file of its own");
	} else {
		item(out, YES, what, "%u IOMMU groups ('toyvmm vfio list')", f->iommu_groups);
	}
}

/* A passed device may write all of the guest's memory at any time, so that it must stay where it is. */
static void check_lock_limit(const struct check_facts *f, FILE *out)
{
	static const char what[] = "locked memory";

	if (f->memlock == UINT64_MAX)
		item(out, YES, what, "as much as a guest with --vfio or --vdpa wants");
	else if (f->privileged)
		item(out, YES, what,
		     "as much as a guest with --vfio wants; one with --vdpa may have up to %llu MiB",
		     (unsigned long long)(f->memlock / MIB));
	else if (f->memlock >= CONFIG_DEFAULT_MEMORY)
		item(out, YES, what, "guests with --vfio or --vdpa may have up to %llu MiB",
		     (unsigned long long)(f->memlock / MIB));
	else {
		item(out, NO, what, "%llu KiB: too little for a guest with --vfio or --vdpa",
		     (unsigned long long)(f->memlock / KIB));
		mend(out, "all of such a guest's memory is locked, and this user's limit is low",
		     "'ulimit -l unlimited', where the hard limit allows it; or a line \"USER - "
		     "memlock unlimited\" in /etc/security/limits.conf, and log in again");
	}
}

static void check_devices(const struct check_facts *f, FILE *out)
{
	check_user_network(f, out);
	check_tap(f, out);
	check_io_uring(f, out);
	check_passthrough(f, out);
	check_lock_limit(f, out);
}

static void print_device(FILE *out, const char *path, int error, const char *use)
{
	if (error == 0)
		item(out, INFO, path, "can be used (%s)", use);
	else if (error == ENOENT)
		item(out, INFO, path, "is not there (%s)", use);
	else
		item(out, INFO, path, "no access: %s (%s)", strerror(error), use);
}

static void print_count(FILE *out, const char *what, unsigned n, const char *use)
{
	if (n > 0)
		item(out, INFO, what, "%u (%s)", n, use);
	else
		item(out, INFO, what, "none (%s)", use);
}

static void print_information(const struct check_facts *f, FILE *out)
{
	struct utsname host;

	if (uname(&host) == 0)
		item(out, INFO, "kernel", "%s %s", host.sysname, host.release);
	item(out, INFO, "CPU", "%s (%s), %u online", f->model[0] ? f->model : "not known",
	     f->vendor[0] ? f->vendor : "not known", f->cpus_online);
	if (f->memory_available)
		item(out, INFO, "memory", "%llu MiB available",
		     (unsigned long long)(f->memory_available / MIB));
	print_device(out, "/dev/vhost-net", f->vhost_net,
		     f->vhost_net == ENOENT ? "sudo modprobe vhost_net; for --net tap,vhost"
					    : "--net tap,vhost");
	print_count(out, "vDPA devices", f->vdpa_devices,
		    f->vdpa_devices > 0 && !f->vdpa[0] ? "sudo modprobe vhost_vdpa; for --vdpa"
						       : "--vdpa");
	if (f->vdpa[0])
		print_device(out, f->vdpa, f->vdpa_error, "--vdpa");
}

bool check_report(const struct check_facts *f, FILE *out)
{
	static bool (*const checks[])(const struct check_facts *, FILE *) = {
		check_device, check_access, check_vm, check_flag, check_capabilities,
	};
	bool ok = true;

	fputs("Needed for Linux guests:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		ok &= checks[i](f, out);
	fputs("\nFor devices, where they are asked for:\n", out);
	check_devices(f, out);
	fputs("\nFor information only:\n", out);
	print_information(f, out);
	fprintf(out, "\nThis host %s stock Linux guests.\n", ok ? "can run" : "cannot run");
	return ok;
}

int check_host(void)
{
	struct check_facts facts;

	check_read_facts(&facts);
	return check_report(&facts, stdout) && fflush(stdout) == 0 ? 0 : 1;
}
