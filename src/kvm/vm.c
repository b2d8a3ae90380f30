// SPDX-License-Identifier: Apache-2.0
#include "kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "mem/layout.h"

/* The only version there ever was since Linux 2.6.22; another one is to be refused (api.rst, 4.1). */
#define API_VERSION 12

static int open_error(struct err *e)
{
	switch (errno) {
	case ENOENT:
		return err_set(e, ENOENT,
			       "/dev/kvm: not there: load kvm-intel or kvm-amd, or enable "
			       "virtualization in the firmware ('toyvmm check' tells more)");
	case EACCES:
	case EPERM:
		return err_set(e, EACCES,
			       "/dev/kvm: permission denied: join its group ('sudo usermod -aG kvm "
			       "$USER', then log in again) or run as root");
	default:
		return err_sys(e, "/dev/kvm");
	}
}

int kvm_open(struct kvm *k, struct err *e)
{
	int rc;

	*k = KVM_CLOSED;
	k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return open_error(e);
	rc = ioctl(k->fd, KVM_GET_API_VERSION, 0);
	if (rc != API_VERSION) {
		rc = err_set(e, ENODEV,
			     "/dev/kvm: not a KVM device, or API version %d instead of %d", rc,
			     API_VERSION);
		goto fail;
	}
	rc = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < 0) {
		rc = err_sys(e, "KVM_GET_VCPU_MMAP_SIZE");
		goto fail;
	}
	k->run_size = (size_t)rc;
	do {
		k->vm_fd = ioctl(k->fd, KVM_CREATE_VM, 0);
	} while (k->vm_fd < 0 && errno == EINTR);
	if (k->vm_fd < 0) {
		rc = err_sys(e, "KVM_CREATE_VM");
		goto fail;
	}
	return 0;
fail:
	kvm_close(k);
	return rc;
}

void kvm_close(struct kvm *k)
{
	fd_close(&k->vm_fd);
	fd_close(&k->fd);
}

int kvm_extension(const struct kvm *k, int capability)
{
	int rc = ioctl(k->vm_fd >= 0 ? k->vm_fd : k->fd, KVM_CHECK_EXTENSION, capability);

	return rc < 0 ? 0 : rc;
}

int kvm_create_irqchip(const struct kvm *k, struct err *e)
{
	/* The PIT's speaker port 0x61 too: Linux calibrates timers through its gate bit. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity_map = KVM_IDENTITY_MAP;

	if (ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return err_sys(e, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(k->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS) < 0)
		return err_sys(e, "KVM_SET_TSS_ADDR");
	if (ioctl(k->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(e, "KVM_CREATE_IRQCHIP");
	if (ioctl(k->vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return err_sys(e, "KVM_CREATE_PIT2");
	return 0;
}

int kvm_set_memory(const struct kvm *k, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		   bool readonly)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};

	return ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

int kvm_map_memory(const struct kvm *k, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		   struct err *e)
{
	if (kvm_set_memory(k, slot, gpa, len, host, false) < 0)
		return err_sys(
			e, "memory: this host's KVM refuses %llu MiB at 0x%llx; try less --memory",
			len / MIB, (unsigned long long)gpa);
	return 0;
}

int kvm_connect_irq(const struct kvm *k, int event_fd, unsigned gsi, struct err *e)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)event_fd, .gsi = gsi};

	if (ioctl(k->vm_fd, KVM_IRQFD, &irqfd) < 0)
		return err_sys(e, "KVM_IRQFD: interrupt %u", gsi);
	return 0;
}

int kvm_irqfd(const struct kvm *k, int event_fd, unsigned gsi, bool connect)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)event_fd,
		.gsi = gsi,
		.flags = connect ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(k->vm_fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int kvm_irqfd_level(const struct kvm *k, int event_fd, int resample_fd, unsigned gsi, bool connect)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)event_fd,
		.resamplefd = (uint32_t)resample_fd,
		.gsi = gsi,
		.flags = connect ? KVM_IRQFD_FLAG_RESAMPLE : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(k->vm_fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

void kvm_irq_line(const struct kvm *k, unsigned gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	/* Fails only for a line that there is not, or without an interrupt controller. */
	if (ioctl(k->vm_fd, KVM_IRQ_LINE, &line) < 0)
		return;
}

int kvm_vfio_file(const struct kvm *k, int *device, int file, bool add)
{
	struct kvm_create_device create = {.type = KVM_DEV_TYPE_VFIO};
	int32_t fd = file;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = add ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uint64_t)(uintptr_t)&fd,
	};

	if (*device < 0) {
		if (ioctl(k->vm_fd, KVM_CREATE_DEVICE, &create) < 0)
			return -errno;
		*device = (int)create.fd;
	}
	return ioctl(*device, KVM_SET_DEVICE_ATTR, &attr) < 0 ? -errno : 0;
}

int kvm_set_routing(const struct kvm *k, struct kvm_irq_routing *table)
{
	return ioctl(k->vm_fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

int kvm_ioeventfd(const struct kvm *k, uint64_t gpa, unsigned len, const uint64_t *value,
		  int event_fd, bool add)
{
	struct kvm_ioeventfd io = {
		.addr = gpa,
		.len = len,
		.datamatch = value ? *value : 0,
		.fd = event_fd,
		.flags = (value ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
			 (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(k->vm_fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}
