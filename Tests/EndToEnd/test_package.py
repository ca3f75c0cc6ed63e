# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, and what becomes of a machine that installs, upgrades and removes it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fixtures.installed import FOLDER, Installation, Systemd
from fixtures.ports import free_port
from fixtures.programs import ROOT, built
from fixtures.wire import ask, until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")

#: Compressed as little as can be, since it is unpacked at once. Who packages says so: lintian knows no host of ours.
WAY = {
    "DPKG_DEB_COMPRESSOR_TYPE": "gzip",
    "DPKG_DEB_COMPRESSOR_LEVEL": "1",
    "DEBFULLNAME": "A Packager",
    "DEBEMAIL": "packager@debian.org",
    "SOURCE_DATE_EPOCH": "1795421400",
}
LATER = "99.0"
#: What an upgrade that refuses connections says, and the documents.
ENABLE = "systemctl stop tollgate && systemctl enable --now tollgate.socket tollgate"


def build(output: Path, *arguments: str) -> Path:
    command = [ROOT / "deploy/debian/build", "--programs", built("tollgate").parent, "--output", output, *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, env={**os.environ, **WAY}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return Path(done.stdout.strip())


def of_package(package: Path, *fields: str) -> list[str]:
    shown = ["dpkg-deb", "--show", f"--showformat={''.join('${' + one + '}|' for one in fields)}", str(package)]
    return subprocess.run(shown, check=True, capture_output=True, text=True).stdout.split("|")[:-1]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def successor(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("successor"), "--version", LATER)


def unpacked(package: Path, folder: Path) -> Path:
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "root"], check=True)
    return folder / "root"


def test_two_builds_are_equal(package, folder):
    assert build(folder).read_bytes() == package.read_bytes()


def test_lintian_finds_nothing_wrong(package):
    command = ["lintian", "--allow-root", "--fail-on", "error,warning,override", package]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_it_has_what_an_operator_expects(package, folder):
    root = unpacked(package, folder)
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True).stdout.strip()
    version = subprocess.run([built("tollgate"), "--version"], capture_output=True, text=True).stdout.split()[1]
    assert package.name == f"tollgate_{version}_{architecture}.deb"
    assert of_package(package, "Package", "Version", "Architecture") == ["tollgate", version, architecture]
    files = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    pages = {f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz" for page in (ROOT / "deploy/man").glob("*.[15]")}
    wanted = {"usr/bin/tollgate", "usr/bin/tollgatectl", "etc/tollgate/tollgate.yaml", *pages}
    wanted |= {f"usr/lib/systemd/system/{unit.name}" for unit in (ROOT / "deploy/systemd").iterdir()}
    wanted |= {"usr/share/bash-completion/completions/tollgatectl", "usr/share/zsh/vendor-completions/_tollgatectl"}
    wanted |= {"usr/share/fish/vendor_completions.d/tollgatectl.fish", "usr/share/doc/tollgate/changelog.gz"}
    assert len(pages) > 10
    assert wanted <= files
    for unit in (root / "usr/lib/systemd/system").iterdir():
        assert "/usr/local" not in unit.read_text()
        assert "install" not in unit.read_text()
    assert (root / "DEBIAN/conffiles").read_text() == "/etc/tollgate/tollgate.yaml\n"
    sums = {line.split("  ", 1)[1] for line in (root / "DEBIAN/md5sums").read_text().splitlines()}
    assert sums == {file for file in files if not file.startswith("DEBIAN/")}
    # The libraries that its programs name, each by the package that brings it.
    (depends,) = of_package(package, "Depends")
    names = {re.split(r"[ :]", one.strip())[0] for one in depends.split(",")}
    needed = subprocess.run(["ldd", root / "usr/bin/tollgate"], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"=> (/\S+)", needed):
        owner = subprocess.run(["dpkg", "-S", os.path.realpath(library)], capture_output=True, text=True).stdout
        owners = {owner.split(":")[0]}
        if not owner:
            # Known by its place before /usr was merged.
            name = Path(os.path.realpath(library)).name
            shown = subprocess.run(["dpkg", "-S", f"*/{name}"], capture_output=True, text=True).stdout
            owners = {line.split(":")[0] for line in shown.splitlines()}
        assert owners & names, f"{library} is of {owners}"


def test_what_is_linked_is_in_the_copyright():
    """By the dependencies of the programs; those of tests alone are not in them."""
    text = (ROOT / "deploy/debian/copyright").read_text()
    pins = json.loads((ROOT / "Package.resolved").read_text())["pins"]
    alone = {"swift-subprocess", "swift-http-structured-headers"}
    assert [pin["identity"] for pin in pins if pin["identity"] not in text and pin["identity"] not in alone] == []


def test_wrong_usage_is_told(folder):
    script = ROOT / "deploy/debian/build"
    for arguments, code, words in [
        (["--nonsense"], 64, "build: unknown argument --nonsense\n"),
        (["--output"], 64, "build: --output wants a value\n"),
        (["--programs", str(folder)], 69, f"build: {folder} has no tollgate\n"),
    ]:
        done = subprocess.run([script, *arguments], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr.startswith(words)) == (code, True), done.stderr


@pytest.fixture
def machine(folder):
    machine = Installation(folder)
    yield machine
    machine.close()


@pytest.fixture
def systemd(machine, folder):
    with socket.create_server(("127.0.0.1", free_port()), backlog=128) as listener:
        systemd = Systemd(machine, listener, folder / "tollgate.log")
        yield systemd
        systemd.close()


class Callers:
    """Call again and again, each time by a new connection, until they are told to end."""

    def __init__(self, port: int, key: str):
        self.port, self.key = port, key
        self.statuses: list[int] = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.call) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def call(self):
        while not self.ended.is_set():
            try:
                self.statuses.append(ask(self.port, "GET", "/anything", self.key).status)
            except (OSError, ValueError) as failure:
                self.statuses.append(failure)

    def more(self):
        """Waits until each has called again."""
        count = len(self.statuses)
        until(lambda: len(self.statuses) > count + 20, "calls")

    def end(self) -> list:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.statuses


@needs_root
def test_a_life(machine, systemd, folder, redis, upstream, key, package, successor):
    """Installed, configured, upgraded under load, upgraded with settings that are wrong, removed, purged."""
    for one in (package, successor):
        shutil.copy(one, folder / one.name)
    settings = machine.path("/etc/tollgate/tollgate.yaml")
    variables = machine.path("/etc/tollgate/environment")
    port = systemd.listener.getsockname()[1]

    # The settings that ship do not name this socket: what is started at once has to have those of the operator, who has
    # written them before.
    settings.parent.mkdir()
    mine = json.dumps(
        {
            "listen": f"127.0.0.1:{port}",
            "admin": "127.0.0.1:0",
            "upstream": {"url": upstream.url},
            "policies": [],
            "log": {"access": "off"},
        }
    )
    settings.write_text(f"# Ours.\n{mine}\n")
    variables.write_text(f"TOLLGATE_REDIS_URL={redis.url}\n")
    variables.chmod(0o600)
    machine.done("dpkg", "--install", "--force-confold", str(folder / package.name))
    assert systemd.asked == ["start tollgate.service"]
    assert machine.done("dpkg-query", "--show", "--showformat=${db:Status-Status}", "tollgate") == "installed"
    assert machine.path("/etc/systemd/system/multi-user.target.wants/tollgate.service").is_symlink()
    assert variables.read_text() == f"TOLLGATE_REDIS_URL={redis.url}\n"
    assert ask(port, "GET", "/anything").status == 401

    # An upgrade under load, with the socket held.
    callers = Callers(port, key)
    callers.more()
    said = machine.done("dpkg", "--install", str(folder / successor.name))
    callers.more()
    statuses = callers.end()
    assert set(statuses) == {200}
    assert len(statuses) > 40
    assert systemd.asked == ["start tollgate.service", "restart tollgate.service"]
    # It went on until its successor was there.
    assert systemd.replaced == [True]
    assert machine.done("dpkg-query", "--show", "--showformat=${Version}", "tollgate") == LATER
    assert settings.read_text() == f"# Ours.\n{mine}\n"
    assert variables.stat().st_mode & 0o777 == 0o600
    # Nobody has enabled the socket that would hold the port.
    assert f"tollgate: {ENABLE}\n" in said

    # Files with secrets can be for the service alone: the unit takes this user.
    name, _, uid, _, _, _, shell = machine.done("getent", "passwd", "tollgate").strip().split(":")
    assert (name, int(uid) < 1000, shell) == ("tollgate", True, "/usr/sbin/nologin")
    assert machine.done("id", "-gn", "tollgate") == "tollgate\n"

    # Settings that this version would refuse end nothing. By what dpkg runs when all else is done.
    settings.write_text("listen: nowhere\n")
    upgraded = ["/var/lib/dpkg/info/tollgate.postinst", "configure", LATER]
    done = machine.run(*upgraded, DPKG_MAINTSCRIPT_PACKAGE="tollgate")
    assert done.returncode == 0
    assert "listen: expected" in done.stderr
    assert "then: systemctl restart tollgate\n" in done.stderr
    assert len(systemd.asked) == 2
    assert ask(port, "GET", "/anything", key).status == 200
    # Nor do variables that it would refuse beside them.
    secured = json.dumps({**json.loads(mine), "redis": {"tls": {"ca": "/etc/ssl/certs/ca-certificates.crt"}}})
    settings.write_text(f"{secured}\n")
    done = machine.run(*upgraded, DPKG_MAINTSCRIPT_PACKAGE="tollgate")
    assert "redis.tls.ca: expected rediss:// in redis.url beside it" in done.stderr
    assert len(systemd.asked) == 2
    # What is good only together with the variables restarts it; whose port is held then, needs no words.
    variables.write_text("# By TLS.\n\n  TOLLGATE_REDIS_URL='rediss://127.0.0.1:1/0'\nTOLLGATE_LOG_LEVEL=\"info\"")
    machine.path("/run/held").touch()
    assert machine.done(*upgraded, DPKG_MAINTSCRIPT_PACKAGE="tollgate") == ""
    assert systemd.asked[2:] == ["restart tollgate.service"]
    until(lambda: ask(port, "GET", "/anything", key).status == 503, "an answer without Redis")
    variables.write_text(f"TOLLGATE_REDIS_URL={redis.url}\n")

    # What was stopped isn't started.
    systemd.stop()
    settings.write_text(f"# Ours.\n{mine}\n")
    machine.done(*upgraded, DPKG_MAINTSCRIPT_PACKAGE="tollgate")
    assert len(systemd.asked) == 3

    # As `systemctl enable tollgate.socket` does.
    wanted = machine.path("/etc/systemd/system/sockets.target.wants")
    wanted.mkdir(exist_ok=True)
    (wanted / "tollgate.socket").symlink_to("/lib/systemd/system/tollgate.socket")
    machine.done("dpkg", "--remove", "tollgate")
    assert systemd.asked[3:] == ["stop tollgate.socket tollgate-expiring.timer tollgate.service"]
    assert not machine.path("/usr/bin/tollgate").exists()
    assert settings.read_text() == f"# Ours.\n{mine}\n"
    assert variables.exists()

    # Installed again it runs, and holds its port as it did.
    machine.done("dpkg", "--install", str(folder / successor.name))
    assert systemd.asked[4:] == ["start tollgate.socket", "start tollgate.service"]
    until(lambda: ask(port, "GET", "/anything", key).status == 200, "an answer")
    machine.done("dpkg", "--remove", "tollgate")
    assert systemd.asked[6:] == ["stop tollgate.socket tollgate-expiring.timer tollgate.service"]

    logs = machine.path("/var/log/private/tollgate")
    logs.mkdir(parents=True)
    (logs / "access.log").touch()
    machine.path("/var/log/tollgate").symlink_to("private/tollgate")
    machine.done("dpkg", "--purge", "tollgate")
    left = machine.done("find", "/etc", "/usr", "/var/log", "/var/lib/systemd", "-path", "*tollgate*")
    assert left == ""
    assert "daemon-reload" in systemd.told()


@needs_root
def test_without_systemd_it_installs_too(machine, folder, package):
    """As in an image or a chroot: nothing is started, and secrets have a place that only root reads."""
    machine.path("/run/systemd/system").rmdir()
    shutil.copy(package, folder / package.name)
    machine.done("dpkg", "--install", str(folder / package.name))
    variables = machine.path("/etc/tollgate/environment")
    assert (variables.stat().st_mode & 0o777, variables.stat().st_uid) == (0o600, 0)
    checked = machine.done("tollgate", "config", "check", "/etc/tollgate/tollgate.yaml")
    assert checked.startswith("/etc/tollgate/tollgate.yaml: ok\n")
    # An upgrade does not bring back what somebody has taken away.
    variables.unlink()
    (version,) = of_package(package, "Version")
    machine.done("/var/lib/dpkg/info/tollgate.postinst", "configure", version, DPKG_MAINTSCRIPT_PACKAGE="tollgate")
    assert not variables.exists()
    machine.path("/etc/tollgate/redis.crt").touch()
    machine.done("dpkg", "--purge", "tollgate")
    assert [file.name for file in machine.path("/etc/tollgate").iterdir()] == ["redis.crt"]


def readme() -> list[str]:
    """The lines of the README that install the package and make a key."""
    text = (ROOT / "README.md").read_text()
    block = next(one for one in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) if one.startswith("deploy/debian/build"))
    return [re.sub(r"  +#.*", "", line) for line in block.splitlines()[1:]]


def test_the_readme_names_the_package(package):
    install, organization, key, _ = readme()
    assert install.startswith("apt-get install ./tollgate_")
    version, architecture = of_package(package, "Version", "Architecture")
    assert f"tollgate_{version}_" in install
    assert (organization.split()[0], key.split()[0]) == ("tollgatectl", "tollgatectl")
    for page in ("README.md", "docs/operations.md", "deploy/debian/postinst"):
        assert ENABLE in (ROOT / page).read_text()


def from_zero() -> list[str]:
    """The lines of the guide to keys that make a server of a machine with nothing on it."""
    text = (ROOT / "docs/API_KEY_GENERATION.md").read_text()
    return re.search(r"^### From zero\n.*?^```sh\n(.*?)^```", text, re.M | re.S)[1].splitlines()


@needs_root
def test_a_server_from_zero_by_the_guide(folder, package):
    """By its lines, of which these are replaced: what apt-get would fetch has to be known to apt, and be on this machine; the
    package is installed by dpkg; what an editor would do is done to the file that the package brought; instead of systemd the
    test starts what the unit names. The others are run as they are."""
    (version,) = of_package(package, "Version")
    shutil.copy(package, folder / package.name)
    machine = Installation(folder, network=False)
    # As where nothing could be started: what is, is started here.
    machine.path("/run/systemd/system").rmdir()
    services: list[subprocess.Popen] = []
    printed: list[str] = []

    def serve(*command: str | Path):
        log = (folder / f"service{len(services)}.log").open("wb")
        services.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def follow(line: str):
        words = line.removeprefix("sudo ").split()
        if words[:2] == ["apt-get", "install"]:
            for name in words[2:]:
                if name.startswith("./"):
                    assert name == f"./tollgate_{version}_amd64.deb"
                    machine.done("dpkg", "--install", str(folder / package.name))
                else:
                    assert f"Package: {name}\n" in machine.done("apt-cache", "show", name)
                    assert machine.done("dpkg-query", "--show", "--showformat=${db:Status-Status}", name) == "installed"
            if "redis-server" in words:
                # As its package starts it.
                serve(*machine.within, "redis-server", "--save", "")
        elif words[0] == "sudoedit":
            file = machine.path(words[1])
            text = file.read_text().replace("http://127.0.0.1:8081", "http://127.0.0.1:8082")
            assert text != file.read_text()
            file.write_text(text)
        elif words == ["systemctl", "restart", "tollgate"]:
            unit = machine.path("/usr/lib/systemd/system/tollgate.service").read_text()
            serve(*machine.within, *re.search(r"^ExecStart=(.+)$", unit, re.M)[1].split())
            until(lambda: machine.run("tollgate", "health").returncode == 0, "tollgate ready", pause=0.1)
        else:
            assert words[0] in ("tollgate", "tollgatectl"), line
            printed.append(machine.done("bash", "-c", line))

    def status(*headers: str) -> str:
        command = [*machine.network, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *headers]
        return subprocess.run([*command, "http://127.0.0.1:8080/api/listings"], capture_output=True, text=True).stdout

    try:
        serve(*machine.network, sys.executable, ROOT / "deploy/demo/handler.py", "--port", "8082")
        for line in from_zero():
            follow(line)
        health, organization, key = printed
        assert health == "ready\n"
        assert organization.startswith("Organization acme created. ")
        assert re.search(r"^Expires: \d{4}-", key, re.M)
        until(lambda: status("-H", f"X-API-Key: {key.split()[0]}") == "200", "an answer of the handler", pause=0.1)
        assert status() == "401"
        shown = json.loads(machine.done("tollgatectl", "org", "show", "acme", "--json"))
        assert shown["max_lifetime_seconds"] == 90 * 86400
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait(60)
        machine.close()


@needs_root
def test_from_a_clean_debian_to_an_mcp_call(folder, package, capsys):
    """With nothing but the package and what it depends on, by the lines of the README; prints them and the time of each."""
    release = re.search(r"^VERSION_CODENAME=(.+)$", Path("/etc/os-release").read_text(), re.M)[1]
    root = folder / "debian"
    began = time.monotonic()
    took: list[tuple[str, float]] = []

    def lap(what: str):
        nonlocal began
        now = time.monotonic()
        took.append((what, now - began))
        began = now

    subprocess.run(
        ["debootstrap", "--variant=minbase", release, root], check=True, capture_output=True, timeout=600
    )
    lap(f"debootstrap --variant=minbase {release} (not counted)")
    (root / "etc/apt/apt.conf.d/50yes").write_text('APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n')
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    architecture = of_package(package, "Architecture")[0]
    install, organization, issue, _ = (line.replace("amd64", architecture) for line in readme())
    shutil.copy(package, root / package.name)
    machine = Installation(root, FOLDER)
    try:
        machine.done("apt-get", "update")
        lap("apt-get update")
        machine.done("bash", "-c", install, patience=300)
        lap(install)
    finally:
        machine.close()

    machine = Installation(root, FOLDER, network=False)
    services: list[subprocess.Popen] = []

    def serve(*command: str | Path):
        log = (folder / f"service{len(services)}.log").open("wb")
        services.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    try:
        # What systemd would have started, and the handler of somebody.
        serve(*machine.within, "redis-server", "--save", "")
        serve(*machine.network, sys.executable, ROOT / "deploy/demo/handler.py", "--port", "8081")
        unit = (root / "usr/lib/systemd/system/tollgate.service").read_text()
        serve(*machine.within, *re.search(r"^ExecStart=(.+)$", unit, re.M)[1].split())
        until(lambda: machine.run("tollgate", "health").returncode == 0, "tollgate ready", pause=0.1)
        lap("systemctl start tollgate (by hand here), until tollgate health says ready")
        machine.done("bash", "-c", organization)
        key = machine.done("bash", "-c", issue).split()[0]
        lap(f"{organization}; {issue}")
        called = subprocess.run(
            [*machine.network, sys.executable, ROOT / "deploy/demo/client.py"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "TOLLGATE_KEY": key},
        )
        lap("one call of a tool with the MCP client")
        assert called.returncode == 0, called.stderr
        assert "Harbour view loft" in called.stdout
        assert "HTTP 200" in called.stdout
        refused = subprocess.run(
            [*machine.network, sys.executable, ROOT / "deploy/demo/client.py"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "TOLLGATE_KEY": "mcp_" + "A" * 43},
        )
        assert refused.returncode != 0
        linked = machine.done("ldd", "/usr/bin/tollgate", "/usr/bin/tollgatectl")
        assert "not found" not in linked
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait(60)
        machine.close()
    with capsys.disabled():
        print()
        for what, seconds in took:
            print(f"{seconds:7.1f} s  {what}")
        print(f"{sum(seconds for _, seconds in took[1:]):7.1f} s  in all, from a clean Debian")


# It fetches a Debian, which takes minutes: Tests/run --long.
if "TOLLGATE_LONG" not in os.environ:
    del test_from_a_clean_debian_to_an_mcp_call
