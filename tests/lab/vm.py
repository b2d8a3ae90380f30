# SPDX-License-Identifier: Apache-2.0
"""toyvmm with a stock Linux, for the lab's tests: on a terminal of its own, or with streams of the test's choice."""
import glob
import os
import re
import subprocess
import time

import pexpect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
TOYVMM = os.path.join(BUILD, "toyvmm")
ELF = os.path.join(BUILD, "images", "vmlinux")
BZIMAGE = os.path.join(BUILD, "images", "vmlinuz")
INITRD = os.path.join(BUILD, "images", "initrd.img")
TEST_INITRD = os.path.join(BUILD, "images", "test-initrd.img")  # with fio, iperf3, socat, ethtool, mkfs.ext4, e2fsck

PATIENCE = int(os.environ.get("PATIENCE", "120"))  # seconds for a thing to happen, never waited for: the lab is slow
PROMPT = "root@toyvmm:~# "
CTRL_A, CTRL_C, CTRL_Z = "\x01", "\x03", "\x1a"

# What the user's own shell sees: the terminal's settings before and after, and the exit code.
SHELL = 'echo "before $(stty -g)"; "$@"; code=$?; echo; echo "after $(stty -g)"; echo "exit code $code."'


def command(*options, kernel=ELF, initrd=INITRD, cmdline="", memory="256M"):
    """A command line of toyvmm. `cmdline` comes after console=ttyS0 quiet; None leaves all of it away."""
    words = [TOYVMM, "run", "--kernel", kernel, "--memory", memory]
    if initrd:
        words += ["--initrd", initrd]
    if cmdline is not None:
        words += ["--cmdline", f"console=ttyS0 quiet {cmdline}".strip()]
    return words + list(options)


def script(text):
    """A kernel command line that runs a shell script of one line, with nothing but the kernel, as the first process."""
    return f'rdinit=/bin/sh -- -c "{text}"'


def child_of(pid):
    """The process id of a process's only child."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return int(children.read().split()[0])


def state_of_the_lab():
    """Whether timers run (docs/lab.md), and for each toyvmm's threads state, what it waits for, and CPU time used."""
    begin = time.monotonic()
    for _ in range(10):
        time.sleep(0.01)
    lines = [f"-- ten sleeps of 10 ms took {(time.monotonic() - begin) * 1000:.0f} ms; load {os.getloadavg()[0]}"]
    for stat in glob.glob("/proc/[0-9]*/task/[0-9]*/stat"):
        try:
            with open(stat, encoding="ascii") as f, open(stat[:-4] + "wchan", encoding="ascii") as wchan:
                name, rest = f.read().rsplit(")", 1)
                fields = rest.split()
                if os.path.realpath(stat.split("/task")[0] + "/exe") == os.path.realpath(TOYVMM):
                    lines.append(f"{name}) {fields[0]} {wchan.read()} {fields[11]}+{fields[12]}")
        except OSError:
            pass  # it has ended meanwhile
    return "\n".join(lines)


class Console:
    """Something with a guest's serial port at its other end."""

    def __init__(self, tty):
        self.tty = tty

    def expect(self, pattern, timeout=PATIENCE):
        """Waits for a regular expression on the console; says what came instead."""
        try:
            self.tty.expect(pattern, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF) as e:
            raise AssertionError(f"no {pattern!r} on the console ({type(e).__name__}) after:\n"
                                 f"{self.tty.before}\n{state_of_the_lab()}") from None
        return self.tty.match

    def expect_exact(self, text, timeout=PATIENCE):
        return self.expect(re.escape(text), timeout)

    def send(self, text):
        self.tty.send(text)

    def log_in(self, password="root"):
        self.expect("toyvmm login: ")
        self.send("root\r")
        self.expect("Password: ")
        self.send(f"{password}\r")

    def shell(self):
        """Logs in, up to the prompt."""
        self.log_in()
        self.expect_exact(PROMPT)
        return self

    def run(self, line, timeout=PATIENCE):
        """A command's output and exit code. The echo of what is typed shows no number, so the two cannot be mixed up."""
        self.send(f"echo a$((6*7)); {line}; echo z$?z\r")
        # toyvmm itself may say something while the guest's line is still on its way.
        found = self.expect(r"a42(?:toyvmm: [^\n]*\n)?\r\n(.*)z(\d+)z\r\n", timeout)
        self.expect_exact(PROMPT)
        return found[1].replace("\r\n", "\n"), int(found[2])

    def ok(self, line, timeout=PATIENCE):
        """A command's output; it must succeed."""
        out, code = self.run(line, timeout)
        assert code == 0, f"{line}: exit code {code}: {out}"
        return out.strip()


class Terminal(Console):
    """toyvmm started from a shell on a terminal."""

    def __init__(self, *options, argv=None, size=(24, 80), **more):
        """Starts toyvmm with the options that command() makes of these arguments, or `argv` instead."""
        super().__init__(pexpect.spawn("/bin/sh", ["-c", SHELL, "sh"] + (argv or command(*options, **more)),
                                       dimensions=size, encoding="utf-8", codec_errors="replace",
                                       timeout=PATIENCE, cwd=ROOT))
        self.before = self.expect(r"before ([0-9a-f:]+)\r\n")[1]

    @property
    def pid(self):
        return child_of(self.tty.pid)

    def end(self):
        """Waits for the end: toyvmm's exit code. The terminal must be as it was."""
        after = self.expect(r"after ([0-9a-f:]+)\r\n")[1]
        code = int(self.expect(r"exit code (\d+)\.")[1])
        self.tty.expect(pexpect.EOF)
        self.tty.close()
        assert after == self.before, "the terminal's settings are not what they were"
        return code

    def settings(self):
        """The terminal's settings now, as stty prints them."""
        return subprocess.run(["stty", "-g"], stdin=self.tty.child_fd, check=True,
                              capture_output=True, text=True).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """However the test went, no toyvmm stays behind."""
        if not self.tty.closed:
            try:
                os.kill(self.pid, 9)
            except (OSError, IndexError):
                pass
            self.tty.close(force=True)
