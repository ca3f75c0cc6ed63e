# SPDX-License-Identifier: Apache-2.0
"""The ports that tests give to programs."""

import subprocess
import sys
from pathlib import Path

from fixtures.ports import SHARE, Ports, free_port, kernels


def others(count: int) -> set[int]:
    """Those that another process gives away while this one lives."""
    text = f"from fixtures.ports import free_port\nprint(*(free_port() for _ in range({count})))"
    done = subprocess.run([sys.executable, "-c", text], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return set(map(int, done.stdout.split()))


def test_processes_give_away_different_ones():
    ours = {free_port() for _ in range(SHARE)}
    assert not ours & others(SHARE)
    assert max(ours) < kernels().start


def test_none_is_given_away_again_soon():
    ports = Ports()
    given = [ports.next() for _ in range(SHARE // 2)]
    assert len(set(given)) == len(given)
    assert not set(given) & {free_port() for _ in range(SHARE)}


def test_without_a_share_the_kernel_chooses(monkeypatch):
    monkeypatch.setattr("fixtures.ports.LOWEST", kernels().start)
    assert Ports().next() in kernels()
