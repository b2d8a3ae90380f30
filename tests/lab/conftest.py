# SPDX-License-Identifier: Apache-2.0
"""Guests that several tests share: a boot is the expensive part here."""
import pytest

import nets
from vm import Terminal


@pytest.fixture(scope="session")
def guest():
    """A logged-in guest with 4 vCPUs and 256 MiB. Who uses it leaves it at its prompt."""
    with Terminal("--cpus", "4", cmdline="random.trust_cpu=off") as vm:
        yield vm.shell()
        vm.send("poweroff\r")
        assert vm.end() == 0


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """The servers behind a bridge, to which tap1 and tap4 belong."""
    servers = nets.bridge_and_servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def say(capsys):
    """Prints a figure that is for information, past pytest's capture."""
    def print_line(text):
        with capsys.disabled():
            print(f"\n-- {text}")
    return print_line
