# SPDX-License-Identifier: Apache-2.0
"""What `make run_disk` starts: Debian from its disk image, with systemd. A file written there is there the next time."""
import os
import re

import pytest

from vm import BUILD, PATIENCE, Terminal

IMAGE = os.path.join(BUILD, "disk", "debian.img")
CMDLINE = "loglevel=3 systemd.show_status=auto rw"  # images/run-disk
PROMPT = r"root@toyvmm:~# "


def boot(overlay, transport):
    """Up to the prompt. The image is the user's: what is written goes to an overlay."""
    vm = Terminal("--transport", transport, "--disk", f"{IMAGE},root,overlay={overlay}", "--net", "user", "--rng",
                  cmdline=CMDLINE, memory="1G")
    vm.expect("toyvmm login: ", 2 * PATIENCE)
    vm.send("root\r")
    vm.expect("Password: ")
    vm.send("root\r")
    vm.expect(PROMPT)
    vm.send("bind 'set enable-bracketed-paste off'\r")
    vm.expect(PROMPT)
    return vm


@pytest.mark.skipif(not os.path.exists(IMAGE), reason="no disk image: make run_disk makes it")
@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_file_is_there_in_the_next_run(tmp_path, transport):
    data = os.urandom(8).hex()
    for first in True, False:
        with boot(tmp_path / "overlay", transport) as vm:
            if first:
                vm.ok(f"echo {data} >/root/kept")
            assert re.search(rf"^{data}\r?$", vm.ok("cat /root/kept"), re.M)
            assert "10.0.2.15" in vm.ok("ip addr")
            vm.send("poweroff\r")
            assert vm.end() == 0
