# SPDX-License-Identifier: Apache-2.0
"""What an operator installs by hand: the units of systemd, and the configuration beside them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.programs import ROOT, built
from fixtures.wire import ask, until

UNIT = ROOT / "deploy/systemd/tollgate.service"
PORT = ROOT / "deploy/systemd/tollgate.socket"
EXPIRING = ROOT / "deploy/systemd/tollgate-expiring.service"
SETTINGS = ROOT / "deploy/tollgate.yaml"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
#: Of 10, by `systemd-analyze security`. What is left is what a network service can't be without.
MOST_EXPOSURE = 1.5


def told() -> str:
    """What a check says of the shipped file beside that it is good."""
    return """listens on 127.0.0.1:8080; admin pages on 127.0.0.1:9901
forwards to 127.0.0.1:8081
routes:
  every path  every method
policies:
  per address  address  15/10s  callers without a key
  per org      org      20/10s
open without a key:
  GET, HEAD and OPTIONS of /.well-known/
  preflights (OPTIONS as browsers send it) of every path, unless preflights is refuse
"""


def run(*command: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def values(key: str, unit: Path = UNIT) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def shipped(section: str, key: str) -> int:
    """A number, in seconds if it is a duration, of the settings as they ship, in force or not."""
    text = SETTINGS.read_text()
    _, _, text = text.partition(f"\n{section}:\n")
    assert text, section
    return int(re.search(rf"^#?  {key}: (\d+)s?$", text, re.MULTILINE)[1])


@pytest.fixture
def installed(folder) -> Path:
    """The unit as it is, but for the folder of the program, which is where it was built."""
    unit = folder / "tollgate.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/tollgate", str(built("tollgate"))))
    shutil.copy(PORT, folder)
    return unit


def test_systemd_finds_nothing_wrong_with_the_units(installed):
    done = run("systemd-analyze", "verify", "--man=no", installed, installed.with_name(PORT.name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_nothing_wrong_with_the_timer(folder):
    """Beside a program that it starts where it is there."""
    service = folder / EXPIRING.name
    service.write_text(EXPIRING.read_text().replace("/usr/local/bin/tollgatectl", str(built("tollgatectl"))))
    timer = EXPIRING.with_suffix(".timer")
    shutil.copy(timer, folder)
    done = run("systemd-analyze", "verify", "--man=no", service, folder / timer.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    threshold = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, EXPIRING)
    assert done.returncode == 0, done.stdout


def test_systemd_would_have_told_of_a_mistake(installed):
    installed.write_text(installed.read_text().replace("ProtectSystem=strict", "ProtectSystem=strictly"))
    done = run("systemd-analyze", "verify", "--man=no", installed)
    assert "ignoring: strictly" in done.stderr


def test_the_unit_leaves_little_exposed():
    threshold = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, UNIT)
    exposure = re.search(r"Overall exposure level for tollgate\.service: ([0-9.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert done.returncode == 0, f"{exposure[1]} is more than {MOST_EXPOSURE}"
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_the_commands_of_the_unit_work(folder, redis, upstream, ctl, launch, key):
    """The lines of the unit, with the file that ships, at ports that are free."""
    settings = folder / "tollgate.yaml"
    shutil.copy(SETTINGS, settings)
    place = {"/usr/local/bin/tollgate": str(built("tollgate")), "/etc/tollgate/tollgate.yaml": str(settings)}

    def command(key: str) -> list[str]:
        (line,) = values(key)
        return [place.get(word, word) for word in line.split()]

    # As EnvironmentFile= has it, variables go before the file.
    env = {
        "TOLLGATE_LISTEN": "127.0.0.1:0",
        "TOLLGATE_ADMIN": "127.0.0.1:0",
        "TOLLGATE_UPSTREAM": upstream.url,
        "TOLLGATE_REDIS_URL": redis.url,
    }
    daemon = launch(upstream, arguments=command("ExecStart")[1:], env=env)
    assert ask(daemon.port, "GET", "/anything").status == 401
    answer = ask(daemon.port, "GET", "/anything", key)
    assert (answer.status, answer["RateLimit-Policy"]) == (200, '"org";q=20;w=10')

    # What a file alone can't tell: nothing of it is looked at before the variables are.
    assert values("ExecStartPre") == []
    settings.write_text("redis: {tls: {ca: /etc/ssl/certs/ca-certificates.crt}}\n")
    wrong = run("env", f"TOLLGATE_REDIS_URL={redis.url}", *command("ExecStart"))
    assert (wrong.returncode, "redis.tls.ca: expected rediss:// in redis.url beside it" in wrong.stderr) == (78, True)
    assert values("RestartPreventExitStatus") == ["64 78"]
    secured = {"TOLLGATE_LISTEN": "127.0.0.1:0", "TOLLGATE_ADMIN": "127.0.0.1:0", "TOLLGATE_REDIS_URL": "rediss://redis:6380/0"}
    daemon = launch(upstream, arguments=command("ExecStart")[1:], env=secured, ready=False)
    assert ask(daemon.port, "GET", "/anything", key).status == 503


def test_systemd_is_told_how_it_goes():
    assert (values("Type"), values("NotifyAccess"), values("ExecReload")) == (["notify"], ["main"], ["/bin/kill -HUP $MAINPID"])
    (patience,) = values("WatchdogSec")
    # A loop counts as silent after a second, and several looks have to find it so.
    assert int(patience.removesuffix("s")) >= 10


def test_runbooks_read_the_journal_as_they_read_files(launch, upstream):
    """Both logs together, as `journalctl -o cat` shows them."""
    daemon = launch(upstream, log={"level": "info", "access": "stdout"})
    assert ask(daemon.port, "GET", "/api/listings").status == 401
    output = daemon.folder / "stdout.log"
    until(lambda: '"status":401' in output.read_text(), "the line")
    journal = daemon.folder / "journal"
    said = daemon.said()
    journal.write_text(said + output.read_text())
    table = re.search(r"^\| in place of .*?\n\n", OPERATIONS, re.MULTILINE | re.DOTALL)[0].replace("\\|", "|")
    commands = re.findall(r"`journalctl -u tollgate -o cat -S -1h (\| grep [^`]+)`", table)
    requests, own = (run("bash", "-c", f"cat {journal} {command}").stdout for command in commands)
    assert requests == output.read_text() and requests.count("\n") == 1
    assert own == said and " info listening address=" in own


def test_systemd_holds_the_port_that_is_listened_on():
    """Else the service would refuse what it is given."""
    (address,) = values("ListenStream", PORT)
    assert re.search(r"^listen: (\S+)", SETTINGS.read_text(), re.MULTILINE)[1] == address
    assert values("FileDescriptorName", PORT) == ["tollgate"]


def test_the_unit_waits_longer_than_the_daemon_drains():
    """TimeoutStopSec= is where systemd loses its patience; the shipped settings have to end before."""
    (patience,) = values("TimeoutStopSec")
    assert int(patience.removesuffix("s")) >= shipped("drain", "delay") + shipped("drain", "timeout") + 5
    # Each client may need a connection to the handler as well.
    (descriptors,) = values("LimitNOFILE")
    assert int(descriptors) >= 2 * shipped("limits", "connections")


def test_the_shipped_settings_are_accepted():
    done = run(built("tollgate"), "config", "check", SETTINGS)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SETTINGS}: ok\n{told()}", "")


@pytest.mark.parametrize("page", ["README.md", "Tests/Performance/comparison/performance.md.template"])
def test_pages_build_as_the_scripts_do(page):
    """Other flags would make another program, and everything anew."""
    text = (ROOT / page).read_text()
    assert re.findall(r"^deploy/build --product (\S+)", text, re.MULTILINE) == ["tollgate", "tollgatectl"]
    assert "-c release" not in text
