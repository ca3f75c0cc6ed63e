# SPDX-License-Identifier: Apache-2.0
"""The image of deploy/docker, built by an engine and run as one runs it: another user, nothing to write, names by DNS."""

import gzip
import io
import ipaddress
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

import pytest
import yaml
from fixtures import kustomize, noted
from fixtures.authority import Authority
from fixtures.document import Shell
from fixtures.image import DOCKERFILE, Buildah, Image, default, run, seconds
from fixtures.name_server import NameServer
from fixtures.ports import free_port
from fixtures.programs import ROOT, built
from fixtures.redis_server import RedisServer
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, until
from test_kubernetes import pod

COMPOSE = ROOT / "deploy/docker/compose.yaml"
USER = 65532
#: Octets: of all files, and of a tar of them by gzip, which is what an engine fetches.
MOST_UNPACKED, MOST_COMPRESSED = 63_000_000, 30_000_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs in another root as another user")


@pytest.fixture(scope="module")
def image():
    with tempfile.TemporaryDirectory(prefix="tg") as folder:
        # Who runs in it passes through.
        os.chmod(folder, 0o755)
        yield Image(Path(folder))


# ---- What is in it -------------------------------------------------------------------------------------------------------


def test_an_engine_makes_of_the_dockerfile_what_it_says(image):
    configuration = image.configuration
    labels = {name: value for name, value in configuration["Labels"].items() if not name.startswith("io.buildah.")}
    assert labels == {
        "org.opencontainers.image.title": "Tollgate",
        "org.opencontainers.image.description": "API keys and fair rate limits in front of an MCP server or HTTP API",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": default("VERSION"),
        "org.opencontainers.image.source": "https://example.com/tollgate",
        "org.opencontainers.image.revision": "0123abc",
    }
    assert configuration["User"] == f"{USER}:{USER}"
    assert configuration["Entrypoint"] == ["tollgate"] and not configuration["Cmd"]
    assert configuration["StopSignal"] == "SIGTERM"
    assert configuration["ExposedPorts"] == {"8080/tcp": {}}
    assert sorted(configuration["Env"]) == ["PATH=/usr/bin", "TOLLGATE_CONFIG=/etc/tollgate/tollgate.yaml"]
    # As the manifests for Kubernetes start it.
    container = pod(kustomize.built(ROOT / "deploy/kubernetes/base"))["initContainers"][0]
    assert container["command"][:1] == configuration["Entrypoint"]
    rights = container["securityContext"]
    assert (rights["runAsUser"], rights["runAsGroup"], rights["readOnlyRootFilesystem"]) == (USER, USER, True)
    health = configuration["Healthcheck"]
    assert health["Test"] == ["CMD", "tollgate", "health"]
    # Its own patience ends before the engine's: it says what is wrong.
    assert seconds(health["Timeout"]) > 5


def test_the_version_is_that_of_the_programs(image):
    assert image.run("--version") == f"tollgate {default('VERSION')}\n"
    assert image.run("--version", entrypoint=["tollgatectl"]) == f"tollgatectl {default('VERSION')}\n"


def test_it_is_small(image):
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", compresslevel=6) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        tar.add(image.root, arcname=".")
    unpacked = sum(file.stat().st_size for file in image.root.rglob("*") if file.is_file())
    compressed = archive.tell()
    print(f"{unpacked} octets unpacked, {compressed} compressed")
    assert unpacked <= MOST_UNPACKED and compressed <= MOST_COMPRESSED


def test_nothing_in_it_is_for_writing_and_nothing_but_the_programs_runs(image):
    files = [file for file in image.root.rglob("*") if not file.is_dir()]
    folders = [image.root, *(file for file in image.root.rglob("*") if file.is_dir())]
    assert not any(file.is_symlink() for file in files)
    for file in [*files, *folders]:
        found = file.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7022) == (0, 0, 0), file
    assert sorted(file.name for file in image.root.glob("usr/bin/*")) == ["tollgate", "tollgatectl"]
    libraries = {file for file in files if ".so" in file.name}
    assert {file for file in files if file.stat().st_mode & 0o111} == libraries | set(image.root.glob("usr/bin/*"))
    for program in ("tollgate", "tollgatectl"):
        assert "no symbols" in subprocess.run(["nm", image.root / "usr/bin" / program], capture_output=True, text=True).stderr


def test_it_trusts_whom_debian_trusts(image):
    file = image.root / "etc/ssl/certs/ca-certificates.crt"
    assert len(ssl.create_default_context(cafile=file).get_ca_certs()) > 100


def test_its_configuration_is_accepted(image):
    assert image.run("config", "check", "/etc/tollgate/tollgate.yaml").splitlines()[:3] == [
        "/etc/tollgate/tollgate.yaml: ok",
        "listens on 0.0.0.0:8080; admin pages on 127.0.0.1:9901",
        "forwards to 127.0.0.1:8081",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 64, "root: which folder? --help tells"),
        (["/dev/null/root", "--programs"], 64, "root: --programs wants a folder"),
        (["/dev/null/root", "--all"], 64, "root: there is no --all; --help lists what there is"),
        (["/dev"], 73, "root: /dev is there already"),
        (["/tmp/tollgate-no-root", "--programs", "/dev"], 69, "root: tollgate is not built in /dev"),
    ],
)
def test_what_the_script_can_not_do_it_says(arguments, code, words):
    done = subprocess.run([ROOT / "deploy/docker/root", *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"{words}\n")


# ---- At work -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(folder) -> Authority:
    return Authority(folder / "pki")


@pytest.fixture
def redis(folder, authority):
    """By TLS, with a certificate for a name, and on a Unix socket for the test's own commands."""
    pair = authority.issue("redis", "redis.internal")
    server = RedisServer(
        folder,
        arguments=[
            "--tls-port", str(free_port()), "--bind", "127.0.0.1", "--tls-auth-clients", "no",
            "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key),
            "--tls-ca-cert-file", str(authority.file),
        ],
    )  # fmt: skip
    server.start()
    yield server
    server.stop()


@pytest.fixture
def names():
    server = NameServer({"handler.internal": "127.0.0.1", "redis.internal": "127.0.0.1"})
    yield server
    server.close()


def mounted_for_writing(process: int) -> list[str]:
    """Of the file systems below the root of a process, but for /proc."""
    fields = [line.split() for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines()]
    return [one[4] for one in fields if "rw" in one[5].split(",") and not one[4].startswith("/proc")]


def test_it_serves_as_another_user_with_nothing_to_write(launch, image, upstream, redis, key, authority, names, folder):
    folder.chmod(0o755)
    url = f"rediss://redis.internal:{redis.arguments[1]}/0"
    mounts = {
        "/etc/tollgate": folder / "daemon0",
        "/etc/resolv.conf": names.configuration(folder),
        # As an operator adds an authority of their own.
        "/etc/ssl/certs/ca-certificates.crt": authority.file,
    }
    mounts["/etc/tollgate"].mkdir()
    daemon = launch(
        f"http://handler.internal:{upstream.port}",
        redis_url=url,
        # The program under test stands behind it, and here it is the one in the image.
        within=["bash", "-c", 'shift && exec "$@"', "bash"],
        arguments=image.command("--config", "/etc/tollgate/tollgate.json", mounts=mounts),
        log={"level": "debug"},
    )
    process = daemon.process.pid
    assert Path(f"/proc/{process}/root").readlink() == image.root
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == [str(USER)] * 4
    assert status["Groups"] == [] and status["CapEff"] == ["0" * 16] and status["NoNewPrivs"] == ["1"]
    assert mounted_for_writing(process) == []

    answer = ask(daemon.port, "GET", "/api/listings", key)
    assert (answer.status, answer.json()["target"]) == (200, "/api/listings")
    assert upstream.requests[-1].get("X-Tollgate-Org") == "acme"
    assert ask(daemon.port, "GET", "/api/listings").status == 401
    assert {"handler.internal", "redis.internal"} <= set(names.asked)

    assert image.run(*image.health_check()[1:], "--admin", f"127.0.0.1:{daemon.admin}") == "ready\n"
    operator = {"mounts": mounts, "entrypoint": ["tollgatectl"], "TOLLGATE_CONFIG": "/etc/tollgate/tollgate.json"}
    issued = json.loads(image.run("key", "issue", "--org", "acme", "--name", "other", "--json", **operator))
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    assert "other" in image.run("key", "list", "--org", "acme", **operator)

    # What is under way when the engine ends it is answered.
    arrived, answers = threading.Event(), threading.Event()

    def late(*_):
        arrived.set()
        return answers.wait(30) and reply(b"late")

    upstream.behaviour = late
    with Connection(daemon.port) as client:
        client.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert arrived.wait(30)
        daemon.process.send_signal(signal.Signals[image.configuration["StopSignal"]])
        until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "the drain's beginning")
        answers.set()
        assert client.response().body == b"late"
    assert daemon.wait() == 0
    lines = [json.loads(line) for line in (daemon.folder / "stdout.log").read_text().splitlines()]
    assert sorted(line["status"] for line in lines) == [200, 200, 200, 401]


# ---- Compose -------------------------------------------------------------------------------------------------------------


def services() -> dict:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def test_only_the_port_of_the_sidecar_is_published():
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"tollgate": ["127.0.0.1:8080:8080"]}
    # The handler and Redis have a network each that leads nowhere. It outlives a container of Tollgate.
    assert not any("network_mode" in service for service in services().values())
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    members = {name: {one for one, service in services().items() if name in service["networks"]} for name in networks}
    assert members == {"front": {"tollgate"}, "handler": {"tollgate", "handler"}, "back": {"tollgate", "redis", "tollgatectl"}}
    assert networks["handler"] == networks["back"] == {"internal": True}


def test_who_calls_the_published_port_is_asked_for_whom():
    """Seen through Docker it has the address of the network's gateway, and nobody else has while it is on 127.0.0.1."""
    ((network,),) = (yaml.safe_load(COMPOSE.read_text())["networks"]["front"]["ipam"].values(),)
    (addresses,) = network
    assert ipaddress.ip_address(addresses["gateway"]) in ipaddress.ip_network(addresses["subnet"])
    assert services()["tollgate"]["ports"] == ["127.0.0.1:8080:8080"]
    settings = yaml.safe_load((COMPOSE.parent / "compose/tollgate.yaml").read_text())
    assert settings["trusted_proxies"] == [addresses["gateway"]]


def unescaped(text: str) -> str:
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


def test_the_configuration_of_compose_is_accepted(folder):
    # It is read as the sidecar reads it, with the secret, which is mounted elsewhere here.
    text = (COMPOSE.parent / "compose/tollgate.yaml").read_text()
    assert text.count("/run/secrets/redis-password") == 1
    (folder / "password").write_text("correct-horse\n")
    file = folder / "tollgate.yaml"
    file.write_text(text.replace("/run/secrets/redis-password", str(folder / "password")))
    lines = run(built("tollgate"), "config", "check", file, env={"PATH": os.environ["PATH"]}).splitlines()
    assert lines[:2] == [f"{file}: ok", "listens on 0.0.0.0:8080; admin pages on 127.0.0.1:9901"]


def test_the_services_of_compose_find_each_other(image, folder):
    """Each by its own command in one network: Redis with the password, the demo handler, Tollgate, and tollgatectl."""
    folder.chmod(0o755)
    commands = re.findall(r"^#   (.*)$", COMPOSE.read_text(), re.MULTILINE)
    assert "```sh\n{}\n```".format("\n".join(commands)) in (ROOT / "README.md").read_text()
    shell = Shell(folder, {**os.environ, "HANDLER": str(ROOT / "deploy/demo/handler.py"), "PYTHON": sys.executable})
    try:
        secret, password = folder / "secrets/redis-password", "deploy/docker/redis-password"
        secret.parent.mkdir()
        assert commands[0].endswith(f" {password}")
        assert shell.run(commands[0].replace(password, str(secret)).replace("sudo ", "")) == ""
        assert (secret.stat().st_mode & 0o777, secret.stat().st_uid) == (0o400, USER)
        (folder / "data").mkdir()
        (folder / "hosts").write_text("127.0.0.1 localhost redis handler\n")
        places = {
            "/etc/redis/": f"{ROOT}/deploy/redis/",
            "/run/secrets/redis-password": str(secret),
            "/tmp/users.acl": str(folder / "users.acl"),
            "/tmp/redis.conf": str(folder / "redis.conf"),
            "--dir /data": f"--dir {folder}/data",
            "docker-entrypoint.sh ": "",
        }

        def placed(text: str) -> str:
            for place, here in places.items():
                text = text.replace(place, here)
            return text

        redis = services()["redis"]
        bash, flags, script = redis["entrypoint"]
        assert (bash, flags) == ("bash", "-ceu")
        (folder / "redis").write_text(placed(unescaped(script)))
        shell.run(f"{bash} -eu {folder}/redis >{folder}/redis.log 2>&1 &")
        kind, check = redis["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        shell.run(f"until {placed(unescaped(check))} >/dev/null 2>&1; do sleep 0.05; done")
        # The image has no folder but that of its volume: another one that is named in passing keeps Redis from starting.
        process = shell.run("echo $!").strip()
        settings = (folder / "redis.conf").read_text().splitlines()
        assert [line for line in settings if line.split()[:1] == ["dir"]] == []
        assert len(settings) == len((ROOT / "deploy/redis/redis.conf").read_text().splitlines()) - 1
        assert re.findall(r"--dir (\S+)", redis["entrypoint"][2]) == [redis["volumes"][1].partition(":")[2]]
        assert Path(f"/proc/{process}/cwd").readlink() == folder / "data"

        build = services()["handler"]["build"]["dockerfile_inline"]
        arguments = json.loads(re.search(r"^CMD (.*)$", build, re.MULTILINE)[1])[2:]
        shell.run(f"$PYTHON $HANDLER {' '.join(arguments)} >{folder}/handler.log 2>&1 &")
        kind, python, *check = services()["handler"]["healthcheck"]["test"]
        assert (kind, python) == ("CMD", "python")
        (folder / "check.py").write_text(check[1])
        shell.run(f"until $PYTHON {folder}/check.py 2>/dev/null; do sleep 0.05; done")

        def start(service: str, *arguments: str, entrypoint: list[str] | None = None) -> str:
            given = services()[service]
            (source, place, _) = given["volumes"][0].split(":")
            mounts = {place: COMPOSE.parent / source, "/run/secrets": secret.parent, "/etc/hosts": folder / "hosts"}
            started = entrypoint or given.get("entrypoint")
            command = image.command(*arguments, mounts=mounts, entrypoint=started, **given.get("environment", {}))
            file = folder / f"{service}.json"
            file.write_text(json.dumps(command))
            return f"$PYTHON -c 'import json, os, sys; c = json.load(open(sys.argv[1])); os.execvp(c[0], c)' {file}"

        shell.run(f"{start('tollgate')} >{folder}/tollgate.log 2>&1 &")
        shell.run("until (: </dev/tcp/127.0.0.1/8080) 2>/dev/null || ! kill -0 $!; do sleep 0.05; done")
        assert shell.run("kill -0 $!") == "", (folder / "tollgate.log").read_text()
        operator = commands[2].partition(" run --rm ")[2].split()
        assert operator == ["tollgatectl", "org", "create", "acme"]
        assert shell.run(start(*operator)).startswith("Organization acme created.")
        operator = commands[3].partition(" run --rm ")[2].split()
        said = shell.run(start(*operator))
        noted.note_all(said)
        key = said.splitlines()[0]
        command = commands[4].replace("$KEY", key).replace("curl -i", "curl -si")
        answer = shell.run(command)
        assert answer.startswith("HTTP/1.1 200 ") and '"caller":{"org":"acme",' in answer
        assert shell.run("curl -si http://127.0.0.1:8080/api/listings").startswith("HTTP/1.1 401 ")
        assert shell.run(start("tollgate", entrypoint=image.health_check())) == "ready\n"
    finally:
        shell.close()


# ---- What is written -----------------------------------------------------------------------------------------------------


def tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def test_hadolint_finds_nothing_wrong_with_the_dockerfile(folder):
    done = subprocess.run([tool("hadolint"), DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wrong = folder / "Dockerfile"
    wrong.write_text(DOCKERFILE.read_text().replace('ENTRYPOINT ["tollgate"]', "ENTRYPOINT tollgate"))
    done = subprocess.run([tool("hadolint"), wrong], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "DL3025" in done.stdout


def test_the_schema_of_compose_accepts_the_file(folder):
    check = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    run(*check, COMPOSE)
    wrong = folder / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("read_only:", "readonly:"))
    assert subprocess.run([*check, wrong], capture_output=True, timeout=60).returncode == 1


@pytest.fixture
def password():
    """Of Compose, where its reader puts it."""
    file = ROOT / "deploy/docker/redis-password"
    is_there = file.exists()
    file.touch()
    yield file
    if not is_there:
        file.unlink()


def test_an_engine_is_given_what_a_build_reads_and_nothing_secret(folder, password):
    engine = Buildah(folder)
    sent = engine.files(engine.build("FROM scratch\nCOPY . /\n", ROOT))
    package = json.loads(run("swift", "package", "dump-package", cwd=ROOT))
    for target in package["targets"]:
        usual = f"{'Tests' if target['type'] == 'test' else 'Sources'}/{target['name']}"
        assert (sent / target.get("path", usual)).is_dir(), target["name"]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        # What is given by a pattern may be missing: a clone has it not.
        assert (sent / name).exists() or "[" in name, name
    for file in (".git", ".build", ".venv-sdk2", "Tests/EndToEnd", password.relative_to(ROOT)):
        assert (ROOT / file).exists() and not (sent / file).exists()


def test_the_builder_is_of_a_toolchain_that_builds_it():
    wanted = re.search(r"swift-tools-version: ([0-9.]+)", (ROOT / "Package.swift").read_text())[1]
    used = re.search(r"^FROM swift:([0-9.]+)-bookworm AS build$", DOCKERFILE.read_text(), re.MULTILINE)[1]
    assert [int(part) for part in used.split(".")] >= [int(part) for part in wanted.split(".")]


def test_the_programs_are_built_as_the_scripts_build_them():
    lines = DOCKERFILE.read_text()
    needed = re.search(r"--no-install-recommends \\\n\s+(.*) \\\n", lines)[1].split()
    for package in re.search(r"^apt-get install (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)[1].split():
        assert package in needed or package == "redis-server"
    assert "RUN deploy/build --product tollgate && deploy/build --product tollgatectl\n" in lines
