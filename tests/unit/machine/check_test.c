// SPDX-License-Identifier: Apache-2.0
/* `toyvmm check` (src/machine/check.c) on hosts that are made up. */
#include "machine/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"

static char text[16384];

/* A host where everything is as it should be. */
static struct check_facts good_host(void)
{
	struct check_facts f = {
		.vendor = "GenuineIntel",
		.model = "A CPU",
		.vmx = true,
		.cpus_online = 8,
		.kvm_exists = true,
		.kvm_group = true,
		.kvm_native = true,
		.max_vcpus = 288,
		.may_make_tap = true,
		.memory_available = 4 * GIB,
		.iommu_groups = 12,
		.memlock = UINT64_MAX,
		.vdpa_devices = 2,
	};

	for (int i = 0; check_caps[i].name; i++)
		f.cap[i] = 1;
	return f;
}

/* One space for several: tests are about words, not about columns. */
static void squeeze(char *s)
{
	char *to = s;

	for (const char *p = s; *p; p++)
		if (p[0] != ' ' || p[1] != ' ')
			*to++ = *p;
	*to = '\0';
}

/* The verdict; `text` is the report. */
static bool report(const struct check_facts *f)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	bool ok;

	CHECK(out != NULL);
	ok = check_report(f, out);
	fclose(out);
	squeeze(text);
	return ok;
}

/* Every "no" is followed by its reason and its mend. */
static void check_mends(void)
{
	for (const char *p = text; (p = strstr(p, "\n no ")); p++) {
		const char *next = strchr(p + 1, '\n');

		CHECK(next && strncmp(next + 1, " why: ", 6) == 0);
		next = strchr(next + 1, '\n');
		CHECK(next && strncmp(next + 1, " mend: ", 7) == 0);
	}
}

TEST(check_of_a_good_host_has_no_no)
{
	struct check_facts f = good_host();

	CHECK(report(&f));
	CHECK(strstr(text, " no ") == NULL);
	CHECK_HAS(text, " yes hardware virtualization Intel VT-x (vmx)\n");
	CHECK_HAS(text, " yes vCPUs up to 255 in one virtual machine\n");
	CHECK_HAS(text, " - CPU A CPU (GenuineIntel), 8 online\n");
	CHECK_HAS(text, " - memory 4096 MiB available\n");
	CHECK_HAS(text, " yes user networking (--net user) needs neither permission nor set-up\n");
	CHECK_HAS(text, " yes io_uring for disks\n");
	CHECK_HAS(text, " yes PCI passthrough (--vfio) 12 IOMMU groups ('toyvmm vfio list')\n");
	CHECK_HAS(text, " yes locked memory as much as a guest with --vfio or --vdpa wants\n");
	CHECK_HAS(text, "This host can run stock Linux guests.\n");
}

TEST(check_knows_amd_too)
{
	struct check_facts f = good_host();

	f.vmx = false;
	f.svm = true;
	CHECK(report(&f));
	CHECK_HAS(text, "AMD-V (svm)");
}

TEST(check_without_kvm_tells_which_module_to_load)
{
	struct check_facts f = good_host();

	f.kvm_exists = f.kvm_group = f.kvm_native = false;
	f.kvm_rc = -ENOENT;
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, " no /dev/kvm is not there\n");
	CHECK_HAS(text, "sudo modprobe kvm_intel");
	CHECK_HAS(text, " - access to /dev/kvm not known without it\n");
	CHECK_HAS(text, "This host cannot run stock Linux guests.\n");
	strcpy(f.vendor, "AuthenticAMD");
	CHECK(!report(&f));
	CHECK_HAS(text, "sudo modprobe kvm_amd");
}

TEST(check_without_kvm_and_flag_points_to_the_firmware)
{
	struct check_facts f = good_host();

	f.kvm_exists = f.vmx = false;
	f.kvm_rc = -ENOENT;
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, "enable VT-x or AMD-V in the firmware");
	CHECK(strstr(text, "paravirtual") == NULL);
}

TEST(check_without_permission_tells_how_to_get_it)
{
	struct check_facts f = good_host();

	f.kvm_rc = -EACCES;
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, " no access to /dev/kvm not for this user\n");
	CHECK_HAS(text, "sudo usermod -aG");
	CHECK_HAS(text, " - making a virtual machine not known without access");
	f.kvm_group = false;
	CHECK(!report(&f));
	CHECK_HAS(text, "sudo chgrp kvm /dev/kvm");
}

TEST(check_of_paravirtual_kvm_points_to_the_lab)
{
	struct check_facts f = good_host();

	f.vmx = f.kvm_native = false;
	f.kvm_paravirtual = true;
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, " no hardware virtualization neither vmx nor svm in /proc/cpuinfo\n");
	CHECK_HAS(text, "this KVM is paravirtual");
	CHECK_HAS(text, "'make run_linux'");
}

TEST(check_sees_a_paravirtual_module_on_a_capable_cpu)
{
	struct check_facts f = good_host();

	f.kvm_native = false;
	f.kvm_paravirtual = true;
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, "sudo rmmod kvm_pvm");
	f.kvm_native = true;
	CHECK(report(&f));
}

TEST(check_tells_when_kvm_makes_no_vm)
{
	struct check_facts f = good_host();

	f.kvm_rc = -EBUSY;
	strcpy(f.kvm_error.text, "KVM_CREATE_VM: Device or resource busy");
	CHECK(!report(&f));
	check_mends();
	CHECK_HAS(text, " no making a virtual machine KVM refuses\n");
	CHECK_HAS(text, "why: KVM_CREATE_VM: Device or resource busy\n");
	CHECK_HAS(text, "end the other hypervisor");
}

TEST(check_names_each_capability_that_is_missing)
{
	for (int i = 0; check_caps[i].name; i++) {
		struct check_facts f = good_host();
		char line[64];

		f.cap[i] = 0;
		CHECK_EQ(check_caps[i].optional, report(&f));
		check_mends();
		snprintf(line, sizeof(line), " %s KVM_CAP_%s not there",
			 check_caps[i].optional ? "-" : "no", check_caps[i].name);
		CHECK_HAS(text, line);
	}
}

TEST(check_of_devices_for_later_never_decides)
{
	struct check_facts f = good_host();

	f.vhost_net = ENOENT;
	f.vdpa_devices = 0;
	f.memory_available = 0;
	f.model[0] = f.vendor[0] = '\0';
	CHECK(report(&f));
	CHECK(strstr(text, " no ") == NULL);
	CHECK_HAS(
		text,
		" - /dev/vhost-net is not there (sudo modprobe vhost_net; for --net tap,vhost)\n");
	CHECK_HAS(text, " - vDPA devices none (--vdpa)\n");
	CHECK_HAS(text, " - CPU not known (not known), 8 online\n");
}

TEST(check_of_passthrough_tells_what_is_missing)
{
	struct check_facts f = good_host();

	f.vfio = ENOENT;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, " no PCI passthrough (--vfio) 12 IOMMU groups, but /dev/vfio/vfio: No such "
			"file or directory\n");
	CHECK_HAS(text, " mend: sudo modprobe vfio-pci\n");
	f.vfio = EACCES;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, "but /dev/vfio/vfio: Permission denied\n");
	CHECK_HAS(text, " mend: sudo chmod 666 /dev/vfio/vfio,");
	f.iommu_groups = 0;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, " no PCI passthrough (--vfio) there is no IOMMU group\n");
	CHECK_HAS(text, "intel_iommu=on");
}

TEST(check_of_locked_memory_tells_the_limit)
{
	struct check_facts f = good_host();

	f.memlock = 2 * GIB;
	CHECK(report(&f));
	CHECK_HAS(text,
		  " yes locked memory guests with --vfio or --vdpa may have up to 2048 MiB\n");
	f.memlock = 8 * MIB;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text,
		  " no locked memory 8192 KiB: too little for a guest with --vfio or --vdpa\n");
	CHECK_HAS(text, "ulimit -l unlimited");
	f.privileged = true;
	CHECK(report(&f));
	CHECK_HAS(text,
		  "as much as a guest with --vfio wants; one with --vdpa may have up to 8 MiB");
}

TEST(check_of_vdpa_names_a_device_or_the_module)
{
	struct check_facts f = good_host();

	CHECK(report(&f));
	CHECK_HAS(text, " - vDPA devices 2 (sudo modprobe vhost_vdpa; for --vdpa)\n");
	strcpy(f.vdpa, "/dev/vhost-vdpa-1");
	CHECK(report(&f));
	CHECK_HAS(text, " - vDPA devices 2 (--vdpa)\n");
	CHECK_HAS(text, " - /dev/vhost-vdpa-1 can be used (--vdpa)\n");
	f.vdpa_error = EACCES;
	CHECK(report(&f));
	CHECK_HAS(text, " - /dev/vhost-vdpa-1 no access: Permission denied (--vdpa)\n");
}

TEST(check_of_a_missing_tun_names_the_module_and_the_way_without)
{
	const int codes[] = {ENOENT, ENODEV, ENXIO};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct check_facts f = good_host();

		f.tun = codes[i];
		CHECK(report(&f));
		check_mends();
		CHECK_HAS(text, " no tap networks (--net tap) /dev/net/tun is not there\n");
		CHECK_HAS(text, "sudo modprobe tun");
		CHECK_HAS(text, "'--net user'");
	}
}

TEST(check_of_a_closed_tun_says_who_may_not)
{
	struct check_facts f = good_host();

	f.tun = EACCES;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, " no tap networks (--net tap) /dev/net/tun: Permission denied\n");
	CHECK_HAS(text, "sudo chmod 666 /dev/net/tun");
}

TEST(check_without_the_privilege_wants_a_tap_made_by_root)
{
	struct check_facts f = good_host();

	f.may_make_tap = false;
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, " no tap networks (--net tap)");
	CHECK_HAS(text, "sudo ip tuntap add dev tap0 mode tap user \"$USER\"");
	strcpy(f.tap, "vm7");
	CHECK(report(&f));
	CHECK_HAS(text, " yes tap networks (--net tap) --net tap=vm7: this user may use it\n");
	f.may_make_tap = true;
	CHECK(report(&f));
	CHECK_HAS(text, " yes tap networks (--net tap) toyvmm may make one itself\n");
}

TEST(check_of_user_networking_tells_what_its_helper_said)
{
	struct check_facts f = good_host();

	f.slirp_rc = -ENOENT;
	strcpy(f.slirp_error.text, "user networking needs libslirp: libslirp.so.0: cannot open");
	CHECK(report(&f));
	check_mends();
	CHECK_HAS(text, " no user networking (--net user) its helper process does not start\n");
	CHECK_HAS(text, "why: user networking needs libslirp: libslirp.so.0: cannot open\n");
	CHECK_HAS(text, "sudo apt-get install libslirp0\n");
	f.slirp_rc = -EACCES;
	CHECK(report(&f));
	check_mends();
	CHECK(strstr(text, "apt-get install libslirp0") == NULL);
}

TEST(check_without_io_uring_says_that_threads_do_it)
{
	static const struct {
		int code;
		const char *word;
	} cases[] = {
		{EPERM, "sudo sysctl kernel.io_uring_disabled=0"},
		{ENOSYS, "Linux 5.6"},
		{ENOMEM, "ulimit -l"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct check_facts f = good_host();

		f.io_uring = cases[i].code;
		CHECK(report(&f));
		check_mends();
		CHECK_HAS(text, " no io_uring ");
		CHECK_HAS(text, "disks are served by threads\n");
		CHECK_HAS(text, cases[i].word);
	}
}

static struct check_facts cpuinfo(const char *of)
{
	struct check_facts f = {0};
	FILE *in = fmemopen((void *)of, strlen(of), "r");

	CHECK(in != NULL);
	check_read_cpuinfo(&f, in);
	fclose(in);
	return f;
}

TEST(cpuinfo_of_the_first_processor_is_read)
{
	struct check_facts f = cpuinfo("processor\t: 0\nvendor_id\t: GenuineIntel\n"
				       "model name\t: A CPU @ 2 GHz: fast\n"
				       "flags\t\t: fpu vmx sse\nvmx flags\t: svm\n\n"
				       "processor\t: 1\nvendor_id\t: Other\nflags\t\t: svm\n");

	CHECK_STR("GenuineIntel", f.vendor);
	CHECK_STR("A CPU @ 2 GHz: fast", f.model);
	CHECK(f.vmx);
	CHECK(!f.svm);
}

TEST(cpuinfo_flag_is_a_whole_word_anywhere_in_the_line)
{
	CHECK(cpuinfo("flags\t: svm fpu\n").svm);
	CHECK(cpuinfo("flags\t: fpu svm\n").svm);
	CHECK(cpuinfo("flags\t: svm\n").svm);
	CHECK(!cpuinfo("flags\t: svm_lock xsvm svmx\n").svm);
	CHECK(cpuinfo("flags\t: svm_lock svm\n").svm);
	CHECK(!cpuinfo("flags\t:\n").svm);
}

TEST(cpuinfo_that_makes_no_sense_is_survived)
{
	char *long_line = malloc(100000);

	memset(long_line, 'x', 99999);
	memcpy(long_line, "model name\t: ", 13);
	long_line[99999] = '\0';
	CHECK_EQ(79, strlen(cpuinfo(long_line).model));
	free(long_line);
	CHECK_STR("", cpuinfo("flags").vendor);
	CHECK_STR("", cpuinfo("vendor_id").vendor);
	CHECK_STR("", cpuinfo("vendor_id x: y\n").vendor);
	CHECK_STR("", cpuinfo("\n").vendor);
	CHECK_STR("", cpuinfo("vendor_id:").vendor);
}

/* Only that it works here; what it says depends on the machine that tests run on. */
TEST(check_of_this_host_comes_to_a_verdict)
{
	struct check_facts f;
	char why[256] = "";
	bool quick = check_can_run_linux(why, sizeof(why));

	check_read_facts(&f);
	if (report(&f))
		CHECK(quick);
	check_mends();
	CHECK_EQ(quick, why[0] == '\0');
}
