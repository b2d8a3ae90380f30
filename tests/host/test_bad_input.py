# SPDX-License-Identifier: Apache-2.0
"""Wrong input of every kind: one line that names it, exit code 1 or 2, nothing runs, nothing crashes.

Each case runs the program as it is and the one built with ASan and UBSan.
"""
import os
import socket
import struct
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
HELLO = f"{BUILD}/guest/hello.elf"
HAS_KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)

needs_kvm = pytest.mark.skipif(not HAS_KVM, reason="no usable /dev/kvm: the guest's memory cannot be made")


@pytest.fixture(params=["toyvmm", "toyvmm-san"])
def toyvmm(request):
    return os.path.join(BUILD, request.param)


def refused(toyvmm, options, code, says, command="run"):
    """Runs it; checks the exit code and the one line on standard error."""
    done = subprocess.run([toyvmm, *([command] if command else []), *options], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, check=False)
    err = done.stderr.decode(errors="replace")
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert done.returncode == code, (done.returncode, err)
    lines = [line for line in err.splitlines() if "paravirtual" not in line]
    assert lines and lines[0].startswith("toyvmm: ") and says in err, err
    if code == 1:
        assert len(lines) == 1, err
    assert done.stdout == b""


# ---- usage ----

USAGE = [
    ([], "kernel"),
    (["--kernel"], "--kernel"),
    (["--kernel", ""], "--kernel"),
    (["--kernel", HELLO, "--kernel", HELLO], "twice"),
    (["--kernel", HELLO, "extra"], "extra"),
    (["--kernal", HELLO], "--kernel"),
    (["--kernel", HELLO, "--cmdline", "a\nb"], "control"),
    *[(["--kernel", HELLO, "--memory", size], "memory") for size in (
        "", "0", "-1", "31M", "32.5M", "18446744073709551615", "18446744073709551616", "1e9", "512 M", "99999999T",
        "0x100M", "M", "512MM", "33000K", "17179869184G")],
    *[(["--kernel", HELLO, "--cpus", n], "cpus") for n in (
        "", "0", "-1", "256", "99999", "abc", "1.5", "4294967297", "18446744073709551617", "2x")],
    *[(["--kernel", HELLO, "--serial", s], "serial") for s in (
        "", "tty", "file", "file=", "socket=", "stdio=x", "pty=1", "none,", "socket=" + "x" * 200)],
]

# ---- devices: wrong words, each to be named in the message ----

DEVICES = {
    "--disk": [
        ("", "file name"), (",ro", "file name"), ("a,", "comma"), ("a,,,", "comma"), ("a,redonly", "readonly"),
        ("a,ro,readonly", "twice"), ("a,ro=maybe", "maybe"), ("a,id=", "id"), ("a,id=a b", "id"),
        ("a,serial=" + "x" * 21, "serial"), ("a,overlay=", "overlay"), ("a,overlay=a", "overlay"),
        ("a,ro,overlay=b", "readonly"), ("a,engine=fast", "engine"), ("a,queues=0", "queues"),
        ("a,queues=99999999999999999999", "queues"), ("a,queue-size=3", "queue-size"), ("a,partuuid=1", "partuuid"),
        ("a,root,partuuid=a b", "partuuid"), ("a,bw=1.5G", "bw"), ("a,bw=0", "bw"), ("a,iops=-1", "iops"),
        ("a\x1b[2J", "control"), ("a,%n%s", "none of"),
    ],
    "--net": [
        ("", "tap"), ("bridge", "bridge"), ("user=x", "user"), ("tap=" + "x" * 16, "interface"),
        ("tap=a/b", "interface"), ("passt", "passt"), ("passt=" + "x" * 200, "socket"), ("tap,fd=0", "fd"),
        ("tap,fd=3,queues=2", "fd"), ("tap=a,fd=3", "fd"), ("tap,mac=1", "mac"), ("tap,mac=01:00:00:00:00:00", "multicast"),
        ("tap,mtu=67", "mtu"), ("user,queues=2", "queues"), ("tap,hostfwd=::1-:2", "hostfwd"), ("user,hostfwd=tcp::99999-:1", "hostfwd"),
        ("user,hostfwd=::1-:2,hostfwd=::1-:3", "twice"), ("user,offload=maybe", "maybe"), ("user,restirct", "restrict"),
    ],
    "--console": [
        ("", "stdio"), ("tty", "tty"), ("file", "path"), ("socket=" + "x" * 200, "socket"), ("stdio=x", "path"),
        ("pty,name=a/b", "name"), ("pty,nmae=a", "name"),
    ],
    "--vsock": [
        ("", "comma"), ("cid=2,socket=s", "cid"), ("cid=4294967295,socket=s", "cid"), ("cid=3", "socket"),
        ("socket=s", "cid"), ("cid=3,socket=" + "x" * 97, "socket"), ("cid=3,cid=3,socket=s", "twice"),
        ("3", "none of"),
    ],
    "--balloon": [
        ("", "size"), ("-1", "size"), ("1.5G", "size"), ("4K", "MiB"), ("256M", "all of the guest"),
        ("99999999T", "much"), ("1,deflate", "deflate-on-oom"), ("1,stats=x", "stats"),
    ],
    "--transport": [("", "pci"), ("PCI", "pci"), ("isa", "mmio")],
}
USAGE += [(["--kernel", HELLO, option, value], says) for option, cases in DEVICES.items() for value, says in cases]
USAGE += [
    (["--kernel", HELLO, *options], says) for options, says in [
        (["--rng=off"], "rng"),
        (["--rng", "--rng"], "twice"),
        (["--vsock", "cid=3,socket=a", "--vsock", "cid=4,socket=b"], "twice"),
        (["--console", "stdio", "--serial", "stdio"], "stdio"),
        (["--console", "stdio", "--console", "stdio"], "stdio"),
        (["--disk", "a,root", "--disk", "b,root"], "root"),
        (["--disk", "a,id=x", "--disk", "b,id=x"], "'x'"),
        (["--disk", "a", "--disk", "a"], "'a'"),
        (["--disk", "a,ro", "--disk", "b,overlay=a"], "'a'"),
        (["--net", "tap=t", "--net", "tap=t"], "same tap"),
        (["--transport", "pci", "--cmdline", "pci=off", "--rng"], "pci=off"),
        ([word for n in range(32) for word in ("--disk", f"d{n}")], "31"),
        (["--transport", "mmio", *(word for n in range(17) for word in ("--disk", f"d{n}"))], "16"),
        (["-v"] * 300, "256"),
    ]
]


@pytest.mark.parametrize("options,says", USAGE)
def test_wrong_usage_exits_with_2(toyvmm, options, says):
    refused(toyvmm, options, 2, says)


@pytest.mark.parametrize("command", ["rum", "--bogus", "boot"])
def test_unknown_command_exits_with_2(toyvmm, command):
    refused(toyvmm, [], 2, command, command=command)


# ---- kernels ----

def elf(machine=62, bits=64, entry=0x100000, phnum=1, phoff=64, segments=None, size=4096, data=1):
    """A little ELF file; each argument is one thing to get wrong."""
    segments = segments if segments is not None else [(1, 4096 - 64, 0x100000, 64, 64)]
    head = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2 if bits == 64 else 1, data, 1, 0, 2, machine, 1, entry,
                       phoff, 0, 0, 64, 56, phnum, 0, 0, 0)
    table = b"".join(struct.pack("<IIQQQQQQ", kind, 5, offset, paddr, paddr, filesz, memsz, 4096)
                     for kind, offset, paddr, filesz, memsz in segments)
    return (head + table).ljust(size, b"\0")


def bzimage(sects=4, version=0x020F, size=16384, magic=b"HdrS", boot_flag=0xAA55, payload=(0x1000, 64), xload=1):
    image = bytearray(size)
    image[0x1F1] = sects
    struct.pack_into("<H", image, 0x1FE, boot_flag)
    image[0x202:0x206] = magic
    struct.pack_into("<H", image, 0x206, version)
    image[0x211] = 1
    struct.pack_into("<I", image, 0x214, 0x100000)
    struct.pack_into("<H", image, 0x236, xload)
    struct.pack_into("<II", image, 0x248, *payload)
    return bytes(image)


HUGE = 0xFFFFFFFFFFFFF000
KERNELS = {
    "empty": b"",
    "one byte": b"\x7f",
    "text": b"hello, this is not a kernel\n" * 100,
    "script": b"#!/bin/sh\necho no\n",
    "cpio": b"070701" + b"0" * 5000,
    "arm64 image": (b"\0" * 0x38 + b"ARM\x64").ljust(4096, b"\0"),
    "aarch64 elf": elf(machine=183),
    "32-bit elf": elf(bits=32, machine=3),
    "big-endian elf": elf(data=2),
    "elf cut in its header": elf()[:40],
    "elf cut in its program headers": elf()[:100],
    "elf without segments": elf(phnum=0),
    "elf with 65535 segments": elf(phnum=0xFFFF),
    "elf with its table past the end": elf(phoff=HUGE),
    "elf offset overflows": elf(segments=[(1, HUGE, 0x100000, 8192, 8192)]),
    "elf file size overflows": elf(segments=[(1, 0, 0x100000, HUGE, HUGE)]),
    "elf address overflows": elf(segments=[(1, 0, HUGE, 64, 8192)]),
    "elf file size above memory size": elf(segments=[(1, 0, 0x100000, 4096, 64)]),
    "elf segment past the end of the file": elf(segments=[(1, 4000, 0x100000, 4096, 4096)]),
    "elf larger than memory": elf(segments=[(1, 0, 0x100000, 64, 1 << 40)]),
    "elf over our own tables": elf(entry=0x7000, segments=[(1, 0, 0x7000, 64, 64)]),
    "elf entry outside": elf(entry=0x900000),
    "elf overlapping itself": elf(phnum=2, segments=[(1, 0, 0x100000, 64, 8192), (1, 0, 0x101000, 64, 64)]),
    "bzImage of one sector": bzimage()[:512],
    "bzImage cut in its setup": bzimage(sects=0xFF),
    "bzImage without its flag": bzimage(boot_flag=0),
    "bzImage without HdrS": bzimage(magic=b"HdrX"),
    "bzImage of an old protocol": bzimage(version=0x0200),
    "bzImage payload past the end": bzimage(payload=(0x1000, 0xFFFFFF00)),
    "bzImage payload of rubbish gzip": bzimage()[:0x1000 + 0xA00] + b"\x1f\x8b\x08" + b"\xff" * 8000,
}


@needs_kvm
@pytest.mark.parametrize("name", KERNELS)
def test_what_is_no_kernel_exits_with_1(toyvmm, name, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(KERNELS[name])
    refused(toyvmm, ["--kernel", str(path), "--memory", "64M"], 1, str(path))


@needs_kvm
def test_kernel_paths_that_are_no_files(toyvmm, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, tmp_path / "missing", "/dev/null", tmp_path / ("x" * 300)):
        refused(toyvmm, ["--kernel", str(path)], 1, str(path)[:100])


# ---- initrd, command line, memory ----

@needs_kvm
def test_initrd_that_does_not_fit(toyvmm, tmp_path):
    path = tmp_path / "initrd"
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    refused(toyvmm, ["--kernel", HELLO, "--initrd", str(path), "--memory", "64M"], 1, "--memory")
    with open(path, "wb") as f:
        f.truncate(0)
    for bad in (path, tmp_path, tmp_path / "missing"):
        refused(toyvmm, ["--kernel", HELLO, "--initrd", str(bad)], 1, str(bad))


@needs_kvm
def test_command_line_at_its_limit(toyvmm):
    for length in (2046, 2047):
        done = subprocess.run([toyvmm, "run", "-q", "-k", HELLO, "-c", "x" * length], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0 and b"PASS" in done.stdout, (length, done.stderr)
    refused(toyvmm, ["--kernel", HELLO, "--cmdline", "x" * 2048], 1, "command line")
    refused(toyvmm, ["--kernel", HELLO, "--cmdline", "x" * 100000], 1, "command line")


def test_more_memory_than_kvm_takes(toyvmm):
    refused(toyvmm, ["--kernel", HELLO, "--memory", "32T"], 2, "at most 8 TiB")


# ---- serial ----

@needs_kvm
def test_serial_places_that_cannot_be(toyvmm, tmp_path):
    file = tmp_path / "plain"
    file.write_text("keep me")
    live = socket.socket(socket.AF_UNIX)
    live.bind(str(tmp_path / "live"))
    live.listen()
    for serial in (f"file={tmp_path}", f"file={tmp_path}/no/such/dir", f"socket={file}", f"socket={tmp_path}/live",
                   f"socket={tmp_path}/no/such/dir"):
        refused(toyvmm, ["--kernel", HELLO, "--serial", serial], 1, serial.split("=")[1])
    assert file.read_text() == "keep me"
    live.close()


@needs_kvm
def test_stale_socket_is_replaced(toyvmm, tmp_path):
    path = tmp_path / "stale"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    done = subprocess.run([toyvmm, "run", "-q", "-k", HELLO, "-s", f"socket={path}"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not path.exists()


# ---- configuration file ----

CONFIGS = {
    "not json": ("hello", "config"),
    "unknown section": ('{"boot-sauce": {}}', "boot-source"),
    "unknown key": ('{"boot-source": {"kernel_image_pth": "x"}}', "kernel_image_path"),
    "wrong type": ('{"machine-config": {"vcpu_count": "two"}}', "vcpu_count"),
    "duplicate": ('{"boot-source": {"initrd_path": "a", "initrd_path": "b"}}', "initrd_path"),
    "deep": ("[" * 100000, "config"),
    "out of range": ('{"machine-config": {"mem_size_mib": 1}}', "mem"),
    "no disk file": ('{"drives": [{"is_root_device": true}]}', "drives[0]"),
    "disk in line 3": (
        '{"drives": [{"path_on_host": "a"},\n{\n"path_on_host": 1}]}', "config.json:3: drives[1].path_on_host"),
    "unknown disk key": ('{"drives": [{"is_readonly": true}]}', "is_read_only"),
    "vhost-user": ('{"drives": [{"socket": "a"}]}', "not supported yet"),
    "drives that are no array": ('{"drives": {"path_on_host": "a"}}', "array"),
    "negative rate": (
        '{"drives": [{"rate_limiter": {"ops": {"size": -1, "refill_time": 1}}}]}', "rate_limiter.ops.size"),
    "bad forward": ('{"network-interfaces": [{"kind": "user", "hostfwd": ["x"]}]}', "hostfwd[0]"),
    "multicast": ('{"network-interfaces": [{"guest_mac": "ff:ff:ff:ff:ff:ff"}]}', "guest_mac"),
    "vsock without a socket": ('{"vsock": {"guest_cid": 3}}', "uds_path"),
    "negative balloon": ('{"balloon": {"amount_mib": -1}}', "amount_mib"),
    "console without a kind": ('{"console": [{}]}', "kind"),
    "logger": ('{"logger": {"log_path": "a"}}', "logger"),
    "huge number": ('{"machine-config": {"mem_size_mib": 99999999999999999999999}}', "config"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_bad_configuration_exits_with_1(toyvmm, name, tmp_path):
    text, says = CONFIGS[name]
    path = tmp_path / "config.json"
    path.write_text(text)
    refused(toyvmm, ["--config", str(path)], 1, says)


def test_configuration_that_cannot_be_read(toyvmm, tmp_path):
    big = tmp_path / "big"
    with open(big, "wb") as f:
        f.truncate(1 << 30)
    for path in (tmp_path, tmp_path / "missing", big):
        refused(toyvmm, ["--config", str(path)], 1, str(path))


# ---- the rest ----

@pytest.mark.parametrize("options", [["--help"], ["run", "--help"], ["check", "--help"], ["--version"]])
def test_help_and_version_exit_with_0(toyvmm, options):
    done = subprocess.run([toyvmm, *options], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout and not done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not")
def test_no_permission_for_kvm_says_what_to_do(toyvmm):
    if not os.path.exists("/dev/kvm") or os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("/dev/kvm is there for everybody, or not at all")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run([*become, toyvmm, "run", "-k", HELLO], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"/dev/kvm: permission denied" in done.stderr
