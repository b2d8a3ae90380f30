// SPDX-License-Identifier: Apache-2.0
/* The kernel's VFIO, by system calls that are not made: a container, groups and devices that remember. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "sysfs.h"

#include "event/loop.h"
#include "passthru/iommufd_uapi.h"
#include "passthru/kernel.h"

#define A "0000:00:10.0"
#define B "0000:00:11.0"

enum { CONTAINER = 1000, IOMMU = 1001, GROUP = 1100, DEVICE = 1200, CDEV = 1300 };

static struct {
	struct sysfs sys;
	struct gmem ram;
	struct loop loop;
	struct vfio_kernel *k;
	struct err e;
	int files; /* told to the machine */
	/* What the host says. */
	int open_iommu, bind, open_group, open_container, map, set_iommu, get_device;
	bool not_viable, no_reset, dependents_foreign;
	uint32_t region_flags;
	uint64_t region_size, hole; /* pages of a sparse region */
	uint32_t sparse_areas, caps_next;
	/* What is open, mapped, armed. */
	int open, mmaps;
	unsigned n_maps, resets, hot_resets;
	struct vfio_iommu_type1_dma_map dma[4];
	unsigned attached;
	int request_fd;
	unsigned set_count;
	int32_t set_fd[4];
} h;

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int call_open(const char *path, int flags)
{
	CHECK_EQ(O_RDWR | O_CLOEXEC, flags);
	if (strcmp(path, "/dev/iommu") == 0) {
		if (h.open_iommu)
			return refuse(h.open_iommu);
		h.open++;
		return IOMMU;
	}
	if (strncmp(path, "/dev/vfio/devices/vfio", 22) == 0) {
		h.open++;
		return CDEV + atoi(path + 22);
	}
	if (strcmp(path, "/dev/vfio/vfio") == 0) {
		if (h.open_container)
			return refuse(h.open_container);
		h.open++;
		return CONTAINER;
	}
	CHECK(strncmp(path, "/dev/vfio/", 10) == 0);
	if (h.open_group)
		return refuse(h.open_group);
	h.open++;
	return GROUP + atoi(path + 10);
}

static int call_close(int fd)
{
	CHECK(fd >= CONTAINER);
	h.open--;
	return 0;
}

/* A region of four pages; with `sparse_areas` capabilities, of which the last is that of a hole. */
static int region_info(struct vfio_region_info *i)
{
	struct vfio_region_info_cap_sparse_mmap *s = (void *)(i + 1);
	uint32_t size = (uint32_t)(sizeof(*i) + sizeof(*s) + h.sparse_areas * sizeof(s->areas[0]));

	if (i->index == VFIO_PCI_VGA_REGION_INDEX)
		return refuse(EINVAL);
	i->offset = (uint64_t)i->index << 40;
	i->size = i->index == 0                              ? h.region_size
		  : i->index == VFIO_PCI_CONFIG_REGION_INDEX ? 256
							     : 0;
	i->flags = h.region_flags;
	if (i->index != 0 || !h.sparse_areas)
		return 0;
	i->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (i->argsz < size) {
		i->argsz = size;
		i->cap_offset = 0;
		return 0;
	}
	i->cap_offset = sizeof(*i);
	s->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	s->header.next = h.caps_next;
	s->nr_areas = h.sparse_areas;
	s->areas[0].offset = 0, s->areas[0].size = h.hole;
	for (unsigned n = 1; n < h.sparse_areas; n++)
		s->areas[n].offset = h.hole + 4096, s->areas[n].size = h.region_size;
	return 0;
}

static int irq_info(struct vfio_irq_info *i)
{
	i->flags = VFIO_IRQ_INFO_EVENTFD;
	i->count = i->index == VFIO_PCI_MSIX_IRQ_INDEX ? 65 : 1;
	return i->index < VFIO_PCI_NUM_IRQS ? 0 : refuse(EINVAL);
}

static int set_irqs(struct vfio_irq_set *s)
{
	CHECK_EQ(sizeof(*s) + (s->flags & VFIO_IRQ_SET_DATA_EVENTFD ? 4 * s->count : 0), s->argsz);
	if (s->index == VFIO_PCI_REQ_IRQ_INDEX)
		memcpy(&h.request_fd, s->data, 4);
	h.set_count = s->count;
	if (s->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		memcpy(h.set_fd, s->data, 4ul * MIN(s->count, 4u));
	return 0;
}

static int dependents(struct vfio_pci_hot_reset_info *i)
{
	if (h.attached) {
		i->flags = IOMMUFD_HOT_RESET_DEV_ID;
		i->flags |= h.dependents_foreign ? 0 : IOMMUFD_HOT_RESET_DEV_ID_OWNED;
	}
	i->count = 2;
	i->devices[0].group_id = 3;
	i->devices[1].group_id = h.dependents_foreign ? 9 : 3;
	return 0;
}

static int container_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == VFIO_TYPE1v2_IOMMU;
	case VFIO_SET_IOMMU:
		return h.set_iommu ? refuse(h.set_iommu) : 0;
	case VFIO_IOMMU_MAP_DMA:
		if (h.map)
			return refuse(h.map);
		CHECK(h.n_maps < 4);
		memcpy(&h.dma[h.n_maps++], arg, sizeof(h.dma[0]));
		return 0;
	default:
		return refuse(ENOTTY);
	}
}

static int group_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags =
			h.not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		CHECK_EQ(CONTAINER, *(int *)arg);
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		if (h.get_device)
			return refuse(h.get_device);
		h.open++;
		return DEVICE;
	default:
		return refuse(ENOTTY);
	}
}

/* ---- the same by iommufd ---- */

static int iommu_ioctl(unsigned long request, void *arg)
{
	struct iommufd_ioas_alloc *alloc = arg;
	struct iommufd_ioas_map *map = arg;

	switch (request) {
	case IOMMUFD_IOAS_ALLOC:
		CHECK_EQ(12, alloc->size);
		alloc->out_ioas_id = 5;
		return 0;
	case IOMMUFD_IOAS_MAP:
		if (h.map)
			return refuse(h.map);
		CHECK(map->size == 40 && map->ioas_id == 5 && map->flags == 7 && h.n_maps < 4);
		CHECK(h.attached > 0);
		h.dma[h.n_maps].iova = map->iova;
		h.dma[h.n_maps].vaddr = map->user_va;
		h.dma[h.n_maps++].size = map->length;
		return 0;
	default:
		return refuse(ENOTTY);
	}
}

static int bind_device(const struct iommufd_bind *b)
{
	CHECK(b->argsz == 16 && b->flags == 0 && b->iommufd == IOMMU);
	CHECK(h.files > 0); /* KVM knows */
	return h.bind ? refuse(h.bind) : 0;
}

static int attach_device(const struct iommufd_attach *a)
{
	CHECK(a->argsz == 12 && a->flags == 0 && a->pt_id == 5);
	h.attached++;
	return 0;
}

static int device_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case IOMMUFD_DEVICE_BIND:
		return bind_device(arg);
	case IOMMUFD_DEVICE_ATTACH:
		return attach_device(arg);
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags =
			VFIO_DEVICE_FLAGS_PCI | (h.no_reset ? 0 : VFIO_DEVICE_FLAGS_RESET);
		return 0;
	case VFIO_DEVICE_RESET:
		h.resets++;
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return dependents(arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		/* A group once; none where the kernel knows itself whose they are. */
		CHECK_EQ(h.attached ? 0 : 1, ((struct vfio_pci_hot_reset *)arg)->count);
		h.hot_resets++;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(arg);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	default:
		return refuse(ENOTTY);
	}
}

/* Numbers of requests mean something else for each kind of file. */
static int call_ioctl(int fd, unsigned long request, void *arg)
{
	if (fd >= DEVICE)
		return device_ioctl(request, arg);
	if (fd >= GROUP)
		return group_ioctl(request, arg);
	return fd == IOMMU ? iommu_ioctl(request, arg) : container_ioctl(request, arg);
}

static ssize_t call_pread(int fd, void *data, size_t len, off_t off)
{
	CHECK(fd >= DEVICE);
	memset(data, (int)(off & 0xff), len);
	return (ssize_t)len;
}

static ssize_t call_pwrite(int fd, const void *data, size_t len, off_t off)
{
	(void)data;
	CHECK(fd >= DEVICE);
	return off & 1 ? refuse(EIO) : (ssize_t)len;
}

static void *call_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	(void)at;
	CHECK(fd >= DEVICE && flags == MAP_SHARED && prot == (PROT_READ | PROT_WRITE));
	CHECK_EQ(0, off % 4096);
	h.mmaps++;
	return mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int call_munmap(void *at, size_t len)
{
	h.mmaps--;
	return munmap(at, len);
}

static const struct kernel_calls calls = {call_open,   call_close, call_ioctl, call_pread,
					  call_pwrite, call_mmap,  call_munmap};

static void on_file(void *arg, int fd, bool comes)
{
	(void)arg;
	CHECK(fd >= GROUP && (fd < DEVICE || fd >= CDEV));
	h.files += comes ? 1 : -1;
}

static void init(void)
{
	static struct kernel_host host;

	memset(&h, 0, sizeof(h));
	sysfs_init(&h.sys);
	sysfs_add(&h.sys, A, 3);
	sysfs_driver(&h.sys, A, "vfio-pci");
	sysfs_add(&h.sys, B, 3);
	sysfs_driver(&h.sys, B, "vfio-pci");
	CHECK_EQ(0, gmem_create(&h.ram, 16 * MIB, false, &h.e));
	h.loop = LOOP_EMPTY;
	CHECK_EQ(0, loop_init(&h.loop, &h.e));
	h.region_size = 0x4000;
	h.region_flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
			 VFIO_REGION_INFO_FLAG_MMAP;
	host = (struct kernel_host){.ram = &h.ram,
				    .loop = &h.loop,
				    .call = &calls,
				    .root = h.sys.root,
				    .file = on_file};
	CHECK_EQ(0, vfio_kernel_create(&h.k, &host, &h.e));
}

/* Whatever happened: nothing is left open, mapped or told. */
static void fini(void)
{
	vfio_kernel_destroy(h.k);
	CHECK_EQ(0, h.open);
	CHECK_EQ(0, h.mmaps);
	CHECK_EQ(0, h.files);
	loop_fini(&h.loop);
	gmem_destroy(&h.ram);
	sysfs_fini(&h.sys);
}

static struct vfio_device *opened(const char *name)
{
	struct vfio_device *v;

	CHECK_EQ(0, vfio_kernel_open(&v, h.k, name, &h.e));
	return v;
}

static void refused(int error, const char *text)
{
	struct vfio_device *v;

	CHECK_EQ(-error, vfio_kernel_open(&v, h.k, A, &h.e));
	CHECK_HAS(h.e.text, text);
}

/* The same by groups and by iommufd: */

static void ram_and_nothing_else(void)
{
	CHECK_EQ(1, h.n_maps);
	CHECK(h.dma[0].iova == 0 && h.dma[0].size == 16 * MIB &&
	      h.dma[0].vaddr == (uint64_t)(uintptr_t)h.ram.region[0].host);
}

static void hot_reset_when_all_is_ours(void)
{
	h.no_reset = true;
	vfio_destroy(opened(A));
	CHECK_EQ(2, h.hot_resets);
	h.dependents_foreign = true;
	vfio_destroy(opened(A));
	CHECK_EQ(2, h.hot_resets);
}

TEST(ram_and_nothing_else_is_mapped_once_for_all_devices)
{
	struct vfio_device *a, *b;

	init();
	a = opened("00:10.0");
	b = opened(B);
	CHECK_STR(A, a->name);
	ram_and_nothing_else();
	CHECK_EQ(1, h.files);
	vfio_destroy(b);
	vfio_destroy(a);
	CHECK_EQ(4, h.resets); /* each at its start and its end */
	fini();
}

TEST(hundred_devices_come_and_go_and_leave_nothing)
{
	init();
	for (unsigned i = 0; i < 100; i++)
		vfio_destroy(opened(A));
	CHECK_EQ(2, h.open); /* the container and the group stay until the machine ends */
	fini();
}

TEST(device_without_a_reset_is_reset_with_its_bus_when_all_of_it_is_ours)
{
	init();
	hot_reset_when_all_is_ours();
	fini();
}

TEST(region_is_mapped_whole_or_where_the_host_says)
{
	struct vfio_device *v;

	init();
	v = opened(A);
	CHECK_EQ(1, v->region[0].n_areas);
	CHECK(v->region[0].area[0].off == 0 && v->region[0].area[0].len == 0x4000);
	CHECK_EQ(0, v->region[1].size);
	vfio_destroy(v);
	h.sparse_areas = 1, h.hole = 0x2000;
	v = opened(A);
	CHECK_EQ(1, v->region[0].n_areas);
	CHECK_EQ(0x2000, v->region[0].area[0].len);
	vfio_destroy(v);
	fini();
}

TEST(areas_outside_of_their_region_or_off_pages_are_not_mapped)
{
	struct vfio_device *v;

	init();
	h.sparse_areas = 3, h.hole = 0x1800;
	h.caps_next = sizeof(struct vfio_region_info); /* and a loop of capabilities */
	v = opened(A);
	CHECK_EQ(0, v->region[0].n_areas);
	vfio_destroy(v);
	h.sparse_areas = 0;
	h.region_size = 256; /* smaller than a page: what is behind it is not the device's */
	v = opened(A);
	CHECK_EQ(0, v->region[0].n_areas);
	vfio_destroy(v);
	fini();
}

TEST(accesses_stay_inside_their_region)
{
	struct vfio_device *v;
	uint32_t value;

	init();
	v = opened(A);
	CHECK_EQ(0, v->ops->read(v, 0, 0x10, &value, 4));
	CHECK_EQ(0x10101010, value);
	CHECK_EQ(-EIO, v->ops->read(v, 0, 0x3ffe, &value, 4));
	CHECK_EQ(0xffffffff, value);
	CHECK_EQ(-EIO, v->ops->write(v, 0, 0x4000, &value, 1));
	CHECK_EQ(-EIO, v->ops->write(v, VFIO_PCI_NUM_REGIONS, 0, &value, 1));
	CHECK_EQ(-EIO, v->ops->write(v, 0, 1, &value, 1)); /* the device's own error */
	CHECK_EQ(0, v->ops->write(v, 0, 2, &value, 1));
	vfio_destroy(v);
	fini();
}

TEST(interrupts_are_handed_on_with_their_eventfds)
{
	struct vfio_device *v;
	uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	int fd[3] = {7, -1, 9};

	init();
	v = opened(A);
	CHECK_EQ(0, v->ops->set_irqs(v, flags, VFIO_PCI_MSIX_IRQ_INDEX, 0, 3, fd));
	CHECK(h.set_count == 3 && h.set_fd[0] == 7 && h.set_fd[1] == -1 && h.set_fd[2] == 9);
	CHECK_EQ(-EINVAL, v->ops->set_irqs(v, flags, VFIO_PCI_MSIX_IRQ_INDEX, 0, 2049, fd));
	vfio_destroy(v);
	fini();
}

static void on_gone(void *arg, const char *why)
{
	CHECK_HAS(why, "took it back");
	loop_stop(arg);
}

TEST(host_that_wants_the_device_back_gets_it)
{
	struct vfio_device *v;
	uint32_t value;

	init();
	v = opened(A);
	v->gone = on_gone;
	v->arg = &h.loop;
	CHECK_EQ(0, eventfd_write(h.request_fd, 1));
	CHECK_EQ(0, loop_run(&h.loop));
	CHECK_EQ(2, h.open); /* the device is closed, its mappings are gone */
	CHECK_EQ(0, h.mmaps);
	CHECK_EQ(-EIO, v->ops->read(v, 0, 0, &value, 4));
	CHECK_EQ(0xffffffff, value);
	CHECK_EQ(-EIO, v->ops->reset(v));
	vfio_destroy(v);
	fini();
}

TEST(mediated_device_is_opened_by_its_path)
{
	char path[128];
	struct vfio_device *v;

	init();
	snprintf(path, sizeof(path), "%s/sys/bus/mdev/devices/0b9dbd0b-2b63-4a5e-9a0e-0123456789ab",
		 h.sys.root);
	sysfs_link(&h.sys, "bus/mdev/devices/0b9dbd0b-2b63-4a5e-9a0e-0123456789ab/iommu_group",
		   "../../../../kernel/iommu_groups/5");
	v = opened(path);
	CHECK_STR("0b9dbd0b-2b63-4a5e-9a0e-0123456789ab", v->name);
	vfio_destroy(v);
	CHECK_EQ(-ENOENT, vfio_kernel_open(&v, h.k, "/sys/bus/mdev/devices/nobody", &h.e));
	CHECK_EQ(-ENODEV, vfio_kernel_open(&v, h.k, "/tmp", &h.e));
	fini();
}

TEST(each_error_says_what_is_to_be_done)
{
	init();
	sysfs_driver(&h.sys, A, "nvme");
	refused(EBUSY, "it is bound to nvme, not to vfio-pci: 'sudo toyvmm vfio bind " A "'");
	sysfs_driver(&h.sys, A, "vfio-pci");
	h.open_container = ENOENT;
	refused(ENOENT, "'sudo modprobe vfio-pci'");
	h.open_container = 0, h.open_group = EACCES;
	refused(EACCES, "'sudo chown $USER /dev/vfio/3'");
	h.open_group = EBUSY;
	refused(EBUSY, "it is in use");
	h.open_group = 0, h.set_iommu = EPERM;
	refused(EPERM, "allow_unsafe_interrupts");
	h.set_iommu = 0, h.get_device = EINVAL;
	refused(EINVAL, "VFIO_GROUP_GET_DEVICE_FD");
	fini();
}

TEST(memory_that_may_not_be_locked_says_how_much_is_needed)
{
	init();
	h.map = ENOMEM;
	refused(ENOMEM, "16 MiB");
	fini();
}

TEST(group_with_a_device_that_the_host_uses_names_it)
{
	init();
	h.not_viable = true;
	sysfs_driver(&h.sys, B, "e1000e");
	refused(EPERM, "it shares IOMMU group 3 with devices that the host uses: " B " (e1000e)");
	fini();
}

TEST(host_without_an_iommu_says_so)
{
	struct vfio_device *v;

	init();
	sysfs_add(&h.sys, "0000:00:12.0", -1);
	CHECK_EQ(-ENODEV, vfio_kernel_open(&v, h.k, "0000:00:12.0", &h.e));
	CHECK_HAS(h.e.text, "no IOMMU group");
	CHECK_HAS(h.e.text, "intel_iommu=on");
	CHECK_EQ(-ENODEV, vfio_kernel_open(&v, h.k, "0000:00:1f.7", &h.e));
	CHECK_EQ(-EINVAL, vfio_kernel_open(&v, h.k, "eth0", &h.e));
	fini();
}

/* ---- with iommufd ---- */

static void init_iommufd(void)
{
	init();
	sysfs_set(&h.sys, A, "vfio-dev/vfio0/dev", "239:0\n");
	sysfs_set(&h.sys, B, "vfio-dev/vfio7/dev", "239:7\n");
}

TEST(host_with_iommufd_gives_devices_by_their_own_files)
{
	struct vfio_device *a, *b;

	init_iommufd();
	a = opened(A);
	b = opened(B);
	CHECK(h.open == 3 && h.files == 2 &&
	      h.attached == 2); /* the iommufd, and no group or container */
	ram_and_nothing_else();
	vfio_destroy(b);
	vfio_destroy(a);
	CHECK_EQ(1, h.open);
	CHECK_EQ(4, h.resets);
	fini();
}

TEST(hot_reset_by_iommufd_is_done_when_the_kernel_says_that_all_is_ours)
{
	init_iommufd();
	hot_reset_when_all_is_ours();
	fini();
}

TEST(who_may_not_use_iommufd_uses_the_group)
{
	init_iommufd();
	h.open_iommu = EACCES;
	vfio_destroy(opened(A));
	CHECK(h.attached == 0 && h.n_maps == 1 && h.open == 2);
	/* And goes on with it: memory is not pinned twice. */
	h.open_iommu = 0;
	vfio_destroy(opened(B));
	CHECK(h.attached == 0 && h.n_maps == 1);
	fini();
}

TEST(device_that_cannot_be_bound_is_tried_by_its_group_which_says_why)
{
	init_iommufd();
	h.bind = EPERM;
	h.not_viable = true;
	refused(EBUSY, "another program has IOMMU group 3");
	CHECK_EQ(0, h.files);
	fini();
}

TEST(second_device_that_iommufd_refuses_does_not_pin_memory_again)
{
	struct vfio_device *a, *b;

	init_iommufd();
	a = opened(A);
	h.bind = EBUSY;
	CHECK_EQ(-EBUSY, vfio_kernel_open(&b, h.k, B, &h.e));
	CHECK_HAS(h.e.text, "VFIO_DEVICE_BIND_IOMMUFD");
	CHECK_EQ(1, h.n_maps);
	vfio_destroy(a);
	fini();
}

TEST(memory_that_iommufd_cannot_pin_is_told_with_the_mend)
{
	init_iommufd();
	h.map = ENOMEM;
	refused(ENOMEM, "MiB");
	CHECK_EQ(0, h.files);
	fini();
}
