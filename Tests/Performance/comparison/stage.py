# SPDX-License-Identifier: Apache-2.0
"""Redis, the handler, and what stands before it, in a folder that goes with them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .machine import built, fail, free_port
from .process import Process
from .security import Security

HERE = Path(__file__).resolve().parent
PEER = HERE.parent / "peer"
PATH = "/api/listings"


class Stage:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tg"))
        # nginx' worker is another user where nginx is started by root.
        self.folder.chmod(0o755)
        self.processes: list[Process] = []
        #: Of what is started from now on.
        self.security: Security | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def redis(self) -> Process:
        self.socket = self.folder / "redis.sock"
        process = Process(
            self,
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "777", "--save", "",
             "--dir", self.folder],
            self.folder / "redis.log",
        )
        deadline = time.monotonic() + 20
        while not self.socket.exists():
            if process.process.poll() is not None or time.monotonic() > deadline:
                fail(f"redis-server did not start: {process.log.read_text()}")
            time.sleep(0.01)
        return process

    def ask_redis(self, *arguments: str) -> list[str]:
        done = subprocess.run(["redis-cli", "-e", "-s", self.socket, *arguments], capture_output=True, text=True)
        if done.returncode:
            fail(f"redis-cli {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout.splitlines()

    def filled(self, name: str, template: str, **values) -> tuple[Path, int]:
        """A folder with what a peer needs, placeholders filled in, and the configuration that `template` became there."""
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o777)
        port = free_port()
        # The worker may not see the checkout: it reads copies.
        values = {"FOLDER": folder, "PORT": port, "HERE": folder, "INSTANCE": name, **values}
        for file in PEER.iterdir():
            if file.suffix == ".template" and file.name != template:
                continue
            text = file.read_text()
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            (folder / file.name.removesuffix(".template")).write_text(text)
        return folder / template.removesuffix(".template"), port

    def nginx(self, name: str, template: str, **values) -> tuple[Process, int]:
        values = {"NAME": name.split("-")[0], "SSL": "", "CERTIFICATE": "", **values}
        if self.security:
            values |= {"SSL": " ssl", "CERTIFICATE": self.security.of_nginx}
        config, port = self.filled(name, template, **values)
        process = Process(
            self, ["nginx", "-p", config.parent, "-c", config, "-g", "daemon off;"], config.parent / "output.log")
        process.awaits(port)
        return process, port

    def haproxy(self, name: str, **values) -> tuple[Process, int]:
        config, port = self.filled(name, "haproxy.cfg.template", **values)
        # Its log is what it prints.
        process = Process(self, ["haproxy", "-db", "-f", config], config.parent / "access.log")
        process.awaits(port)
        return process, port

    def streams(self) -> tuple[Process, int]:
        """A handler that keeps event streams open."""
        port = free_port()
        process = Process(self, [sys.executable, HERE / "streams.py", str(port)], self.folder / "streams.log")
        process.awaits(port)
        return process, port

    def tollgate(
        self, name: str, upstream: int, limit: str, command: list | None = None, connections: int | None = None,
        more: dict | None = None,
    ) -> tuple[Process, int]:
        """The daemon with two policies and an access log; `command` runs it otherwise than as the built file, and slower;
        `connections`: so many to the handler at most; `more` of its settings."""
        folder = self.folder / name
        folder.mkdir()
        port = free_port()
        settings = {
            "listen": f"127.0.0.1:{port}",
            "loops": 1,
            "admin": "off",
            "log": {"level": "warning", "access": str(folder / "access.log")},
            "upstream": {"url": f"http://127.0.0.1:{upstream}"},
            # Long, since a machine that is loaded to the full is no outage of Redis.
            "redis": {"url": f"unix:{self.socket}", "timeout": "2s"},
            "policies": [{"name": "org", "per": "org", "limit": limit}, {"name": "key", "per": "key", "limit": limit}],
        }
        if self.security:
            settings["listen"] = {"address": settings["listen"], "tls": self.security.of_tollgate}
        if command:
            settings["redis"]["timeout"] = settings["upstream"]["connect_timeout"] = "10s"
            # So that a daemon whose turn comes later still has its connection.
            settings["upstream"]["idle_timeout"] = "10m"
        if connections:
            settings["upstream"]["max_connections"] = connections
        settings |= more or {}
        (folder / "tollgate.json").write_text(json.dumps(settings))
        process = Process(
            self, [*(command or [built("tollgate")]), "--config", folder / "tollgate.json"], folder / "output.log",
            # For one loop on one core, as nginx has one worker.
            {"TOLLGATE_LISTEN": "", "TOLLGATE_UPSTREAM": "", "TOLLGATE_REDIS_URL": ""},
        )
        process.awaits(port, 120 if command else 20)
        return process, port

    def key(self) -> str:
        env = {**os.environ, "TOLLGATE_REDIS_URL": f"unix:{self.socket}"}
        control = built("tollgatectl")
        subprocess.run([control, "org", "create", "acme"], env=env, check=True, stdout=subprocess.DEVNULL)
        issued = subprocess.run(
            [control, "key", "issue", "--org", "acme", "--name", "load", "--json"], env=env, check=True,
            capture_output=True, text=True,
        )
        return json.loads(issued.stdout)["key"]
