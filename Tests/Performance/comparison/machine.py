# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: its packages, its programs and what they call themselves."""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = [
    "redis-server", "redis-tools", "wrk", "nginx", "libnginx-mod-http-lua", "lua-nginx-redis", "lua-nginx-string",
    "lua-resty-core", "lua-resty-lrucache", "haproxy", "strace",
]
#: What only a run that counts instructions needs.
COUNTING = ["valgrind", "binutils"]
#: Asked by packages before they start what they bring.
POLICY = Path("/usr/sbin/policy-rc.d")


def fail(text: str):
    sys.exit(f"compare: {text}")


def install(packages: list[str]):
    """What is missing of Debian's packages."""
    if not shutil.which("dpkg-query"):
        fail(f"this is no Debian: {' '.join(packages)} have to come from its packages")
    missing = [name for name in packages if not installed(name)]
    if not missing:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0:
        fail(f"missing: run `sudo {command}`")
    print(f"Installing {' '.join(missing)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A web server of the machine's own on port 80 is none of ours.
    guards = not POLICY.exists()
    if guards:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        for step in (["apt-get", "update", "-qq"], [*command.split(), "-qq"]):
            done = subprocess.run(step, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode:
                said = (done.stdout + done.stderr)[-2000:]
                fail(f"{' '.join(missing)}: missing, and `{' '.join(step)}` failed:\n{said}")
    finally:
        if guards:
            POLICY.unlink()


def installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


def built(name: str) -> Path:
    file = Path(os.environ.get("TOLLGATE_BIN", ROOT / ".build/release")) / name
    if not file.is_file():
        fail(f"{file} is not built: run deploy/build --product {name}")
    return file


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def programs() -> str:
    said = {
        "tollgate": version(str(built("tollgate")), "--version"), "nginx": version("nginx", "-v"),
        "haproxy": version("haproxy", "-v"), "redis-server": version("redis-server", "--version"),
        "wrk": version("wrk", "--version"),
    }
    return ", ".join(f"{name} {re.search(r'[0-9]+[.][0-9.]+[0-9]', text)[0]}" for name, text in said.items())


def description() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} cores, {cpu}; {release}, Linux {platform.release()}"


def commit() -> str:
    """What is checked out; `+` where Sources have been changed since."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "unknown"
    changes = subprocess.run([*git, "status", "--porcelain", "--", "Sources", "Package.swift"], capture_output=True, text=True)
    return head.stdout.strip() + ("+" if changes.stdout else "")
