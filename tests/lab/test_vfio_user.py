# SPDX-License-Identifier: Apache-2.0
"""An NVMe controller in a process of its own (tests/vfio_user), given to a stock Linux by vfio-user."""
import os
import signal
import subprocess

import pytest

import passthru as p
from vm import BUILD, TEST_INITRD, TOYVMM, Terminal

MIB = 1 << 20
DISK, DRIVER, BDF = "/dev/nvme0n1", "/sys/bus/pci/drivers/nvme", "0000:00:01.0"
# The driver waits for a command this many seconds before it resets the controller; then all goes on, or it gives up.
SOON = "nvme_core.io_timeout=2 nvme_core.admin_timeout=2 nvme_core.shutdown_timeout=1"


class NvmeServer(p.Daemon):
    """Serves a file as an NVMe disk. `doorbells`: message, shadow, eventfd."""

    def __init__(self, socket, image, doorbells="message"):
        if os.path.exists(socket):
            os.unlink(socket)
        super().__init__([os.path.join(BUILD, "vfio-user-nvme"), "--doorbells", doorbells, socket, image],
                         lambda: os.path.exists(socket))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(64 * MIB)
    return str(path)


@pytest.fixture
def socket(tmp_path):
    return str(tmp_path / "nvme.sock")


def guest_of(socket, *options, **more):
    return Terminal("--vfio-user", socket, "--cpus", "4", *options, **{"initrd": TEST_INITRD, **more})


def write_and_verify(guest, seed=1, size="2M"):
    guest.ok(f"fio --name=v --filename={DISK} --rw=randwrite --bs=4k --size={size} --direct=1 --ioengine=libaio "
             f"--iodepth=8 --randseed={seed} --verify=crc32c --minimal >/dev/null")


def wait_in_guest(guest, condition):
    guest.ok(f"until {condition}; do sleep 0.2; done")


@pytest.mark.parametrize("doorbells", ["shadow", "eventfd"])
def test_doorbells_ring_without_a_message(socket, image, doorbells):
    with NvmeServer(socket, image, doorbells), guest_of(socket) as guest:
        guest.shell()
        write_and_verify(guest)
        p.power_off(guest)


def test_disk_works_with_its_own_driver(socket, image):
    """A file system, the driver unbound and bound while it was in use, the guest's reboot, and toyvmm's sudden death."""
    with NvmeServer(socket, image):
        with guest_of(socket) as guest:
            guest.shell()
            assert int(guest.ok(f"cat /sys/block/nvme0n1/size")) == 64 * MIB // 512
            assert guest.ok("ls /sys/block/nvme0n1/mq | wc -l") == "4"
            guest.ok(f"mkfs.ext4 -q {DISK} && mount {DISK} /mnt && echo durable >/mnt/file && "
                     "dd if=/dev/urandom of=/mnt/noise bs=64k count=64 2>/dev/null && cd /mnt && md5sum noise >sum && cd && "
                     "umount /mnt")
            for _ in range(5):
                guest.ok(f"echo {BDF} >{DRIVER}/unbind && test ! -e {DISK} && echo {BDF} >{DRIVER}/bind")
                wait_in_guest(guest, f"test -b {DISK}")
            guest.ok(f"mount {DISK} /mnt && cd /mnt && md5sum -c sum >/dev/null && cd && umount /mnt && blkdiscard -o 48M "
                     f"-l 8M {DISK}")
            guest.send("reboot -f\r")
            assert guest.end() == 0
        with guest_of(socket) as guest:
            guest.shell()
            assert guest.ok(f"e2fsck -fn {DISK} >/dev/null 2>&1 && mount {DISK} /mnt && cat /mnt/file; umount /mnt") == "durable"
            guest.send(f"fio --name=w --filename={DISK} --offset=32M --size=8M --rw=randwrite --bs=4k --direct=1 "
                       "--ioengine=libaio --iodepth=16 --time_based --runtime=100 >/dev/null &\r")
            wait_in_guest(guest, "test $(awk '{print $5}' /sys/block/nvme0n1/stat) -gt 20")
            os.kill(guest.pid, signal.SIGKILL)  # with DMA in flight
        with guest_of(socket) as guest:
            guest.shell()
            write_and_verify(guest)
            p.power_off(guest)


def test_server_dies_and_the_guest_goes_on(socket, image):
    server = NvmeServer(socket, image)
    with guest_of(socket, cmdline=SOON) as guest:
        guest.shell()
        write_and_verify(guest)
        server.kill()
        guest.expect_exact("the server closed the connection")
        assert guest.ok(f"setpci -s {BDF} CAP_MSIX+0.w; echo here").endswith("here")
        # An I/O that nobody answers: the driver finds all ones in the registers and takes the disk away.
        guest.run(f"dd if={DISK} of=/dev/null bs=4k count=1 iflag=direct 2>&1")
        wait_in_guest(guest, f"test ! -b {DISK}")
        with NvmeServer(socket, image):
            guest.expect_exact("the server is back")
            guest.ok(f"echo 1 >/sys/bus/pci/devices/{BDF}/remove && echo 1 >/sys/bus/pci/rescan")
            wait_in_guest(guest, f"test -b {DISK}")
            write_and_verify(guest, seed=2)
            p.power_off(guest)


def test_server_that_is_restarted_is_found_by_the_driver_itself(socket, image):
    """The controller is there again before an I/O runs into its time-out: the driver resets it and goes on."""
    server = NvmeServer(socket, image)
    with guest_of(socket, cmdline=SOON) as guest:
        guest.shell()
        write_and_verify(guest)
        server.kill()
        with NvmeServer(socket, image):
            guest.expect_exact("the server is back")
            write_and_verify(guest, seed=3)
            assert "resetting controller" in guest.ok("dmesg") or guest.ok("dmesg | grep -c nvme")
            p.power_off(guest)


def test_errors_are_one_clear_line(socket, tmp_path):
    def said(path):
        done = subprocess.run([TOYVMM, "run", "--kernel", f"{BUILD}/guest/hello.elf", "--serial", "none", "--vfio-user", path],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done
        return done.stderr

    assert said(socket) == f"toyvmm: vfio-user '{socket}': no server listens there\n"
    (tmp_path / "file").write_text("")
    assert "no server listens there" in said(str(tmp_path / "file"))
