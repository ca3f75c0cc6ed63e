# SPDX-License-Identifier: Apache-2.0
"""Mixed load for TOLLGATE_SOAK seconds, under which memory and descriptors have to stay flat.

Callers with a key at full speed; beside them guessed keys that differ every time, addresses that differ every time, paths
nobody serves, heads that never end, connections that are opened and left, bodies cut short.
"""

import os
import random
import secrets
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

from fixtures.wire import ask, until

DURATION = float(os.environ["TOLLGATE_SOAK"])
#: What caches may still fill, and the allocator keep.
SLACK = 4 * 1024 * 1024
MANY = "1000000000/1s"


def resident(daemon) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def descriptors(daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def trouble(port: int, seed: int, ended: threading.Event):
    """One caller after another that means no good, or has bad luck."""
    dice = random.Random(seed)
    while not ended.is_set():
        address = f"X-Forwarded-For: 10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}\r\n"
        head = "GET /api/listings HTTP/1.1\r\nHost: h\r\n" + address
        sent = dice.choice(
            [
                head + f"X-API-Key: mcp_{secrets.token_urlsafe(32)}\r\n\r\n",
                head + "\r\n",
                head.replace("/api/listings", f"/nowhere/{dice.random()}") + "\r\n",
                head[: dice.randrange(len(head))],
                "",
                head.replace("GET", "POST") + "Content-Length: 100000\r\n\r\n" + "x" * dice.randrange(1000),
                "BREW / HTTP/9\r\n\r\n",
            ]
        )
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(sent.encode())
                if dice.random() < 0.7:
                    connection.settimeout(1)
                    connection.recv(4096)
        except OSError:
            # Cut off, refused or too slow: all of that is what this caller came for.
            pass


def test_memory_and_descriptors_stay_flat(launch, demo, ctl):
    key = ctl.issue()["key"]
    daemon = launch(
        demo,
        policies=[{"name": name, "per": name, "limit": MANY} for name in ("address", "org", "key")],
        trusted_proxies=["127.0.0.0/8"],
        limits={"header_timeout": "2s", "idle_timeout": "2s"},
        log={"level": "info", "access": "off"},
    )
    before = descriptors(daemon)
    ended = threading.Event()
    callers = [threading.Thread(target=trouble, args=(daemon.port, seed, ended)) for seed in range(6)]
    load = subprocess.Popen(
        ["wrk", "-t", "1", "-c", "16", "-d", f"{int(DURATION)}s", "-H", f"X-API-Key: {key}"]
        + [f"http://127.0.0.1:{daemon.port}/api/listings"],
        stdout=subprocess.PIPE,
        text=True,
    )
    samples = []
    try:
        for caller in callers:
            caller.start()
        while load.poll() is None:
            samples.append(resident(daemon))
            time.sleep(DURATION / 200)
    finally:
        ended.set()
        for caller in callers:
            caller.join()
        load.kill()
    said = load.communicate()[0]
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    quarter = len(samples) // 4
    early, late = statistics.median(samples[quarter : 2 * quarter]), statistics.median(samples[-quarter:])
    assert late <= early + SLACK, [sample // 1024 for sample in samples]
    # What was left open ends by header_timeout and idle_timeout.
    until(lambda: descriptors(daemon) <= before + 16, "connections ending", 30)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
