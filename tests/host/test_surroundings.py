# SPDX-License-Identifier: Apache-2.0
"""Hosts that are not as one would wish: no /dev/kvm, closed descriptors, full disks, tight limits."""
import os
import resource
import signal
import subprocess

import pytest

from test_bad_input import BUILD, HELLO, needs_kvm, refused, toyvmm  # pylint: disable=unused-import

FLOOD = f"{BUILD}/guest/flood.elf"


def run(words, timeout=60, **more):
    done = subprocess.run(words, capture_output=True, timeout=timeout, check=False,
                          **{"stdin": subprocess.DEVNULL, **more})
    err = done.stderr.decode(errors="replace")
    assert "Sanitizer" not in err and "runtime error" not in err, err
    return done.returncode, done.stdout.decode(errors="replace"), err


# ---- /dev/kvm ----

def with_another_dev(command, words):
    """Runs words with a /dev of our own making, in a mount namespace; skips where that is not allowed."""
    shell = f'mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && {command} && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", shell, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace of our own to be had here")
    return [*prefix, *words]


@pytest.mark.parametrize("device,says", [
    ("true", "not there"),
    ("mknod -m 666 /dev/kvm c 1 3", "not a KVM device"),
    ("mkdir /dev/kvm", "/dev/kvm"),
    ("mknod -m 666 /dev/kvm c 10 254", "/dev/kvm"),
], ids=["missing", "null", "directory", "no driver"])
def test_no_kvm_is_said_in_one_line(toyvmm, device, says):
    words = with_another_dev(device, [toyvmm, "run", "-q", "-k", HELLO])
    code, out, err = run(words)
    assert (code, out) == (1, "")
    assert err.startswith("toyvmm: /dev/kvm") and says in err and err.count("\n") == 1


def test_check_without_kvm_says_no_and_why(toyvmm):
    code, out, err = run(with_another_dev("true", [toyvmm, "check"]))
    assert code == 1 and err == ""
    assert any("/dev/kvm" in line and "no" in line.split() for line in out.splitlines()), out


def test_check_says_what_it_found(toyvmm):
    """Whatever this host is: an answer for each item, and an exit code that fits them."""
    code, out, err = run([toyvmm, "check"])
    assert code in (0, 1) and err == ""
    assert "/dev/kvm" in out
    assert code == 1 or "no" not in out.splitlines()[0].split()
    assert run([toyvmm, "check", "more"])[0] == 2


@needs_kvm
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not")
def test_kernel_that_may_not_be_read(toyvmm, tmp_path):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"secret")
    kernel.chmod(0)
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    code, out, err = run([*become, toyvmm, "run", "-q", "-k", str(kernel)])
    assert (code, out) == (1, "") and err.count("\n") == 1 and "ermission denied" in err


# ---- descriptors and limits ----

@needs_kvm
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_do_no_harm(toyvmm, closed):
    code, out, err = run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", toyvmm, "run", "-q", "-k", HELLO])
    assert code == 0 and err == ""
    assert ("PASS" in out) == (" >&-" not in f" {closed}".replace("2>&-", ""))


@needs_kvm
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_descriptors_and_an_error(toyvmm, closed):
    code, _, err = run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", toyvmm, "run", "-q", "-k", "/nonexistent"])
    assert code == 1
    assert "2>" in closed or (err.startswith("toyvmm: ") and err.count("\n") == 1)


@needs_kvm
@pytest.mark.parametrize("options", [[], ["-s", "file=/dev/full"]], ids=["stdio", "file"])
def test_full_disk_does_not_end_the_guest(toyvmm, options):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([toyvmm, "run", "-q", "-k", FLOOD, *options], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@needs_kvm
@pytest.mark.parametrize("where", ["stdio", "file"])
def test_file_size_limit_does_not_end_the_guest(toyvmm, where, tmp_path):
    """setrlimit(2), RLIMIT_FSIZE: without care the next byte brings SIGXFSZ, which kills."""
    path = tmp_path / "console"
    options = [] if where == "stdio" else ["-s", f"file={path}"]
    with open(path if where == "stdio" else os.devnull, "wb") as stdout:
        done = subprocess.run([toyvmm, "run", "-q", "-k", FLOOD, *options], stdin=subprocess.DEVNULL, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=120, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == 0, done
    assert path.stat().st_size == 4096


@needs_kvm
def test_every_number_of_descriptors_will_do_or_is_said(toyvmm):
    """RLIMIT_NOFILE from too few to enough: each time either one line or a run."""
    codes = []
    for limit in range(4, 40):
        code, out, err = run([toyvmm, "run", "-q", "-k", HELLO], preexec_fn=lambda n=limit: resource.setrlimit(
            resource.RLIMIT_NOFILE, (n, n)))
        assert code in (0, 1), (limit, code, err)
        if code == 1 and "loading shared" not in err and "shared object" not in err:
            assert err.startswith("toyvmm: ") and err.count("\n") == 1 and "PASS" not in out, (limit, err)
        codes.append(code)
    assert codes[-1] == 0


@needs_kvm
def test_too_little_address_space_is_said(toyvmm):
    if toyvmm.endswith("-san"):
        pytest.skip("ASan needs terabytes of it")
    for mib in (20, 40, 60, 80):
        code, out, err = run([toyvmm, "run", "-q", "-k", HELLO, "-m", "128M"], preexec_fn=lambda n=mib << 20:
                             resource.setrlimit(resource.RLIMIT_AS, (n, n)))
        assert (code, out) == (1, "") and err.startswith("toyvmm: ") and err.count("\n") == 1, (mib, code, err)


@needs_kvm
def test_help_that_nobody_can_read_is_an_error(toyvmm):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([toyvmm, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1 and done.stderr.startswith(b"toyvmm: ")


@needs_kvm
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
def test_signal_kills_as_its_sender_expects(toyvmm, name):
    number = getattr(signal, name)
    with subprocess.Popen([toyvmm, "run", "-q", "-k", f"{BUILD}/guest/echo.elf"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as vm:
        assert vm.stdout.readline() == b"READY\n"
        vm.send_signal(number)
        assert vm.wait(60) == -number
        assert vm.stderr.read() == b""


# ---- more wrong input ----

@pytest.mark.parametrize("options,says", [
    (["-k", HELLO, "-v", "-q"], "contradict"),
    (["-k", HELLO, "--quiet=yes"], "takes no value"),
    (["-k", HELLO, "--memory", "--cpus", "2"], "--cpus"),
    (["-k", HELLO, "-m", "1G", "-m", "2G"], "twice"),
    (["-k", HELLO, "-m1G", "--memory=2G"], "twice"),
    (["-k", HELLO, "--", "extra"], "extra"),
    (["-k", HELLO, "-x"], "-x"),
    (["-k", HELLO, "--\x1b[31m"], "\\x1b"),
    (["-k", HELLO, "--memory", "\x1b]0;title\x07"], "\\x1b"),
    (["-k", HELLO, "--memory", "9" * 5000], "too much"),
    (["-k", HELLO, "--" + "x" * 5000], "unknown option"),
])
def test_more_wrong_usage_exits_with_2(toyvmm, options, says):
    refused(toyvmm, options, 2, says)


@pytest.mark.parametrize("text,says", [
    ('{"boot-source": {"kernel_image_path": "a\\u0000b"}}', "config.json:1"),
    ('{"boot-source": {"kernel_image_path": "\\u001b[31m"}}', "kernel"),
    ('{"boot-source": null}', "kernel"),
    ('{"boot-source": []}', "an object"),
    ('{"machine-config": {"vcpu_count": 1.0}}', "whole number"),
    ('{"machine-config": {"vcpu_count": -1}}', "vcpu_count"),
    ('{"machine-config": {"mem_size_mib": 9223372036854775807}}', "too much"),
    ('{"machine-config": {"mem_size_mib": -9223372036854775808}}', "mem_size_mib"),
    ('{"drives": [{"drive_id": "root"}]}', "drives"),
    ('{"serial": {"kind": "file"}}', "path"),
    ('{"serial": {"path": "x"}}', "kind"),
    ("\xff\xfe{}", "config.json:1"),
    ("{} {}", "config.json:1"),
    ('{"a":' * 3000 + "1" + "}" * 3000, "config.json"),
    ("", "config.json"),
])
def test_more_bad_configuration(toyvmm, text, says, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    done = subprocess.run([toyvmm, "run", "-q", "--config", str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False)
    err = done.stderr.decode(errors="replace")
    assert done.returncode in (1, 2) and err.startswith("toyvmm: ") and err.count("\n") == 1, err
    assert says in err and "\x1b" not in err and done.stdout == b""


def test_configuration_without_end(toyvmm):
    refused(toyvmm, ["--config", "/dev/zero"], 1, "1 MiB")


@needs_kvm
def test_serial_file_that_is_a_fifo_without_reader(toyvmm, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    refused(toyvmm, ["--kernel", HELLO, "--serial", f"file={tmp_path}/fifo"], 1, "fifo")


@needs_kvm
def test_every_byte_of_the_headers_wrong_once(toyvmm, tmp_path):
    """A kernel that loads, with each byte of its ELF header and program headers in turn all ones."""
    with open(HELLO, "rb") as good:
        image = bytearray(good.read())
    path = tmp_path / "kernel"
    end = 64 + 56 * int.from_bytes(image[56:58], "little")
    step = 1 if not toyvmm.endswith("-san") else 3
    for at in range(0, end, step):
        wrong = image[:]
        wrong[at] ^= 0xFF
        path.write_bytes(wrong)
        try:
            code, _, err = run([toyvmm, "run", "-q", "-k", str(path), "-m", "64M"], timeout=2)
        except subprocess.TimeoutExpired:
            continue  # a guest that runs somewhere else is not our mistake
        assert code in (0, 1, 4), (at, code, err)
        if code == 1:
            assert err.startswith("toyvmm: ") and err.count("\n") == 1, (at, err)
