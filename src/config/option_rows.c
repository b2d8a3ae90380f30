// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/virtio_ids.h>

#include "config/device.h"
#include "config/options.h"
#include "config/set.h"

static int apply_kernel(struct vm_config *c, const char *value, struct err *e)
{
	return set_path(&c->kernel, value, e);
}

static int apply_initrd(struct vm_config *c, const char *value, struct err *e)
{
	return set_path(&c->initrd, value, e);
}

static int apply_cpus(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t n;

	if (parse_u64(value, &n) < 0)
		n = 0; /* as wrong as a 0, and the same words fit */
	return set_cpus(c, n, value, e);
}

static int apply_memory(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t bytes;
	int rc = read_size(value, &bytes, e);

	return rc < 0 ? rc : set_memory(c, bytes, value, e);
}

static int check_config(struct vm_config *c, const char *value, struct err *e)
{
	(void)c; /* the file is read by cli.c, before any option is applied */
	return check_path(value, e);
}

static int apply_disk(struct vm_config *c, const char *value, struct err *e)
{
	struct disk_config *d = config_add_disk(c, e);

	return d ? list_parse(&disk_list, d, value, e) : -EINVAL;
}

static int apply_net(struct vm_config *c, const char *value, struct err *e)
{
	struct net_config *n = config_add_net(c, e);

	return n ? list_parse(&net_list, n, value, e) : -EINVAL;
}

static int apply_vdpa(struct vm_config *c, const char *value, struct err *e)
{
	struct elsewhere_config *v = config_add_vdpa(c, e);

	return v ? list_parse(&host_device_list, v, value, e) : -EINVAL;
}

static int apply_console(struct vm_config *c, const char *value, struct err *e)
{
	struct console_config *con = config_add_console(c, e);

	return con ? list_parse(&console_list, con, value, e) : -EINVAL;
}

static int apply_vsock(struct vm_config *c, const char *value, struct err *e)
{
	return list_parse(&vsock_list, &c->vsock, value, e);
}

static int apply_balloon(struct vm_config *c, const char *value, struct err *e)
{
	return list_parse(&balloon_list, &c->balloon, value, e);
}

static int apply_vfio(struct vm_config *c, const char *value, struct err *e)
{
	struct elsewhere_config *v = config_add_vfio(c, e);

	return v ? list_parse(&host_device_list, v, value, e) : -EINVAL;
}

static int apply_vfio_user(struct vm_config *c, const char *value, struct err *e)
{
	struct elsewhere_config *v = config_add_vfio_user(c, e);

	return v ? list_parse(&vfio_user_list, v, value, e) : -EINVAL;
}

static int apply_vhost_user(struct vm_config *c, const char *value, struct err *e)
{
	struct vhost_user_config *v = config_add_vhost_user(c, e);

	return v ? list_parse(&vhost_user_option_list, v, value, e) : -EINVAL;
}

static int apply_fs(struct vm_config *c, const char *value, struct err *e)
{
	struct vhost_user_config *v = config_add_vhost_user(c, e);

	if (!v)
		return -EINVAL;
	v->device_id = VIRTIO_ID_FS;
	return list_parse(&fs_list, v, value, e);
}

static int apply_rng(struct vm_config *c, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	c->rng.enabled = true;
	return 0;
}

/* clang-format off: one row an option */
const struct option_row option_rows[N_OPTIONS] = {
	[OPT_KERNEL] =
		{
			"kernel",
			'k',
			"FILE",
			false,
			"The kernel to boot: an ELF vmlinux or a bzImage (vmlinuz).",
			"--kernel vmlinux.bin",
			apply_kernel,
			NULL,
		},
	[OPT_INITRD] =
		{
			"initrd",
			'i',
			"FILE",
			false,
			"The initial RAM disk for the kernel. Default: none.",
			"--initrd initrd.img",
			apply_initrd,
			NULL,
		},
	[OPT_CMDLINE] =
		{
			"cmdline",
			'c',
			"TEXT",
			false,
			"The kernel's command line. Default: " CONFIG_DEFAULT_CMDLINE ".",
			"--cmdline 'console=ttyS0 quiet'",
			set_cmdline,
			NULL,
		},
	[OPT_CPUS] =
		{
			"cpus",
			'n',
			"N",
			false,
			"How many CPUs the guest has, 1 to 255. Default: 1.",
			"--cpus 4",
			apply_cpus,
			NULL,
		},
	[OPT_MEMORY] =
		{
			"memory",
			'm',
			"SIZE",
			false,
			"The guest's memory: MiB, or a number with K, M, G or T. Whole MiB, 32M to "
			"8T;\n"
			"the host's memory is used as the guest touches it. Default: 256M.",
			"--memory 2G",
			apply_memory,
			NULL,
		},
	[OPT_SERIAL] =
		{
			"serial",
			's',
			"WHERE",
			false,
			"Where the serial port ttyS0 goes: stdio (this terminal, the default), pty "
			"(a new\n"
			"pseudo terminal, its name is printed), file=PATH, socket=PATH (a Unix "
			"socket to\n"
			"connect to), or none.",
			"--serial socket=/tmp/vm.sock",
			set_serial_spec,
			NULL,
		},
	[OPT_TRANSPORT] =
		{
			"transport",
			0,
			"pci|mmio",
			false,
			"How the guest reaches its virtio devices. Default: pci; mmio where the\n"
			"kernel's command line says pci=off.",
			"--transport mmio",
			set_transport,
			NULL,
		},
	[OPT_DISK] =
		{
			"disk",
			'd',
			"PATH[,WORD]...",
			true,
			"A disk (vda, vdb, ... in this order): a raw image or a block device. A comma\n"
			"in a PATH is written twice. Words:\n"
			"  readonly (ro)         the guest may not write\n"
			"  root                  the kernel's root file system: root=/dev/vdX\n"
			"  partuuid=UUID         with root: root=PARTUUID=UUID\n"
			"  overlay=FILE          writes go to FILE, PATH is only read\n"
			"  overlay=temporary     writes are forgotten at the end\n"
			"  id=NAME               in messages; default: disk0, disk1, ...\n"
			"  serial=TEXT           up to 20 bytes for the guest; default: the id\n"
			"  direct                past the host's page cache (O_DIRECT)\n"
			"  engine=auto|io_uring|threads  how the host's file is read and written\n"
			"  queues=N              1 to 16; default: one a CPU, up to 4\n"
			"  queue-size=N          4 to 1024, a power of two; default: 256\n"
			"  packed                offer packed virtqueues\n"
			"  bw=RATE, iops=N       at most so much a second; RATE as a SIZE\n"
			"  noflush               ignore flushes: for a disk that may be lost\n"
			"  nodiscard             do not punch holes\n"
			"  nolock                do not lock PATH against others",
			"--disk rootfs.ext4,root --disk data.img,readonly",
			apply_disk,
			&disk_list,
		},
	[OPT_NET] =
		{
			"net",
			'N',
			"KIND[,WORD]...",
			true,
			"A network interface. Kinds: user (rootless, with DHCP and DNS), tap or\n"
			"tap=NAME (needs permission), passt=SOCKET. Words:\n"
			"  hostfwd=tcp:ADDR:PORT-ADDR:PORT  user: forward a port of the host, or\n"
			"                        udp:...; an ADDR may be left out; may be repeated\n"
			"  restrict              user: no way out, only hostfwd\n"
			"  fd=N                  tap: one that toyvmm inherits, already open\n"
			"  id=NAME               in messages; default: net0, net1, ...\n"
			"  mac=ADDRESS           default: a random one\n"
			"  mtu=N                 68 to 65535, told to the guest\n"
			"  queues=N              tap: pairs, 1 to 8; default: 1\n"
			"  queue-size=N          16 to 1024, a power of two; default: 256\n"
			"  offload=on|off        checksums and segmentation by the host; default: on\n"
			"  packed                offer packed virtqueues\n"
			"  vhost                 tap: the host's kernel carries the frames (vhost-net)\n"
			"  bw=RATE, pps=N        at most so much a second, each way; RATE as a SIZE",
			"--net user,hostfwd=tcp:127.0.0.1:2222-:22",
			apply_net,
			&net_list,
		},
	[OPT_VDPA] =
		{
			"vdpa",
			0,
			"DEVICE[,id=NAME]",
			true,
			"A vDPA device of the host, /dev/vhost-vdpa-N: a network card, a disk or what\n"
			"else it says it is. Its memory is locked (ulimit -l).",
			"--vdpa /dev/vhost-vdpa-0",
			apply_vdpa,
			&host_device_list,
		},
	[OPT_CONSOLE] =
		{
			"console",
			0,
			"WHERE[,name=NAME]",
			true,
			"A virtio console: WHERE as with --serial. The first is the terminal hvc0,\n"
			"more of them are ports, found by name. Where one is stdio and --serial is not\n"
			"given, the serial port is none, and the default command line console=hvc0.",
			"--console stdio --console socket=/tmp/agent.sock,name=agent",
			apply_console,
			&console_list,
		},
	[OPT_VSOCK] =
		{
			"vsock",
			0,
			"cid=N,socket=PATH",
			false,
			"A vsock device: the guest is number cid, from 3 on; the host's side is the\n"
			"Unix socket PATH, and PATH_PORT for the guest's connections.",
			"--vsock cid=3,socket=/tmp/vm.vsock",
			apply_vsock,
			&vsock_list,
		},
	[OPT_RNG] =
		{
			"rng",
			0,
			NULL,
			false,
			"A source of random numbers, the host's.",
			"--rng",
			apply_rng,
			NULL,
		},
	[OPT_BALLOON] =
		{
			"balloon",
			0,
			"SIZE[,WORD]...",
			false,
			"A balloon that takes SIZE of the guest's memory (0: none yet). Words:\n"
			"  deflate-on-oom        give it back before the guest kills processes\n"
			"  stats=SECONDS         ask the guest for statistics so often\n"
			"  reporting             take what the guest reports as free",
			"--balloon 128M,deflate-on-oom",
			apply_balloon,
			&balloon_list,
		},
	[OPT_VFIO] =
		{
			"vfio",
			0,
			"DEVICE[,id=NAME]",
			true,
			"A device of the host's, given to the guest: a PCI address, as 'toyvmm vfio\n"
			"list' shows it, or the directory of a mediated device in sysfs. All of the\n"
			"guest's memory is locked. 'toyvmm vfio check' says whether it can work.\n"
			"  id=NAME               in messages; default: vfio0, vfio1, ...",
			"--vfio 0000:03:00.0 --vfio /sys/bus/mdev/devices/UUID",
			apply_vfio,
			&host_device_list,
		},
	[OPT_VFIO_USER] =
		{
			"vfio-user",
			0,
			"SOCKET[,id=NAME]",
			true,
			"A PCI device in another process, which listens at SOCKET and speaks the\n"
			"vfio-user protocol (libvfio-user, SPDK). It gets all of the guest's memory.\n"
			"  id=NAME               in messages; default: vfio-user0, vfio-user1, ...",
			"--vfio-user /run/nvme.sock",
			apply_vfio_user,
			&vfio_user_list,
		},
	[OPT_VHOST_USER] =
		{
			"vhost-user",
			0,
			"type=KIND,socket=PATH[,WORD]...",
			true,
			"A virtio device that another process serves at the Unix socket PATH, by the\n"
			"vhost-user protocol. KIND: blk, net, fs, scsi, or the number of a virtio\n"
			"device. The guest's memory is shared with that process. Words:\n"
			"  queues=N              request queues; default: one a CPU, up to 4\n"
			"  queue-size=N          16 to 1024, a power of two; default: 256\n"
			"  id=NAME               in messages; default: vhost-user0, ...\n"
			"  mac=ADDRESS           net; default: a random one\n"
			"  tag=NAME              fs: what the guest mounts\n"
			"  config-size=N         a number: bytes of its configuration space",
			"--vhost-user type=blk,socket=/tmp/disk.sock",
			apply_vhost_user,
			&vhost_user_option_list,
		},
	[OPT_FS] =
		{
			"fs",
			0,
			"tag=NAME,socket=PATH[,WORD]...",
			true,
			"A folder of the host's, which virtiofsd serves at the Unix socket PATH; the\n"
			"guest mounts it: mount -t virtiofs NAME /mnt. Words:\n"
			"  queues=N              request queues; default: as many as it has, up to 4\n"
			"  queue-size=N          16 to 1024, a power of two; default: 256\n"
			"  id=NAME               in messages; default: fs0, ...",
			"--fs tag=home,socket=/tmp/fs.sock",
			apply_fs,
			&fs_list,
		},
	[OPT_CONFIG] =
		{
			"config",
			'f',
			"FILE",
			false,
			"Read the machine from a JSON file, with Firecracker's names. Options "
			"given as\n"
			"well win over the file.",
			"--config examples/small.json --memory 1G",
			check_config,
			NULL,
		},
	[OPT_VERBOSE] =
		{
			"verbose",
			'v',
			NULL,
			true,
			"Say more about what is done; twice: for debugging.",
			"-vv",
			NULL,
			NULL,
		},
	[OPT_QUIET] =
		{
			"quiet",
			'q',
			NULL,
			true,
			"No warnings, errors only.",
			"--quiet",
			NULL,
			NULL,
		},
	[OPT_HELP] =
		{
			"help",
			'h',
			NULL,
			true,
			"Show this and exit.",
			"--help",
			NULL,
			NULL,
		},
};
/* clang-format on */
