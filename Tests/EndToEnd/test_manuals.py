# SPDX-License-Identifier: Apache-2.0
"""Man pages and completions: they are what the programs say today, and the real readers of them find nothing wrong."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.programs import ROOT, built

MAN = ROOT / "deploy/man"
COMPLETIONS = ROOT / "deploy/completions"
PAGES = sorted(file for file in MAN.iterdir() if file.suffix in {".1", ".5"})


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env={**os.environ, **env}
    )


def renew(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(script, "--programs", built("tollgate").parent, *arguments)


def leaves(command: dict, path: str = "") -> list[str]:
    path = f"{path} {command['commandName']}".strip()
    below = [one for one in command.get("subcommands", []) if one["commandName"] != "help"]
    return [leaf for one in below for leaf in leaves(one, path)] if below else [path]


def test_they_are_what_the_programs_say():
    done = renew(MAN / "renew", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_out_of_date_is_named_and_mended(folder):
    """In a copy: a page that was changed, one that is missing, and one of a verb that is gone."""
    copies = folder / "deploy"
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs/cli.md", folder / "docs")
    for one in (MAN, COMPLETIONS):
        shutil.copytree(one, copies / one.name)
    (copies / "man/tollgatectl-key.1").write_text((MAN / "tollgatectl-key.1").read_text().replace("API keys", "Doors"))
    (copies / "completions/fish/tollgate.fish").unlink()
    (copies / "man/tollgatectl-gone.1").write_text(".TH GONE 1\n")
    script = copies / "man/renew"
    done = renew(script, "--check")
    said = " is not what the programs say: run deploy/man/renew"
    names = ["completions/fish/tollgate.fish", "man/tollgatectl-gone.1", "man/tollgatectl-key.1"]
    assert (done.returncode, done.stderr) == (1, "".join(f"deploy/{name}{said}\n" for name in names))
    assert renew(script).returncode == 0
    # All but the page that has changed keep their dates.
    changed = MAN / "tollgatectl-key.1"
    for file in [*PAGES, *(one for one in COMPLETIONS.rglob("*") if one.is_file())]:
        copy = (copies / file.relative_to(ROOT / "deploy")).read_text()
        assert file == changed or copy == file.read_text()
    assert "Doors" not in (copies / "man" / changed.name).read_text()
    assert not (copies / "man/tollgatectl-gone.1").exists()


def test_mandoc_finds_nothing_wrong():
    done = run("mandoc", "-T", "lint", "-W", "style", *PAGES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_mandoc_would_have_told_of_a_mistake(folder):
    page = folder / "tollgate.1"
    page.write_text((MAN / "tollgate.1").read_text().replace(".EE\n", ".EEE\n"))
    done = run("mandoc", "-T", "lint", page)
    assert done.returncode != 0
    assert "unknown macro: .EEE" in done.stdout


@pytest.mark.parametrize("program", ["tollgate", "tollgatectl"])
def test_every_command_has_an_example(program):
    tree = json.loads(run(built(program), "--experimental-dump-help").stdout)["command"]
    commands = leaves(tree)
    assert len(commands) > 5
    for command in commands:
        words = command.split()
        own = MAN / f"{words[0]}-{words[1]}.1"
        page = own if own.exists() else MAN / f"{words[0]}.1"
        shown = run("mandoc", "-T", "ascii", "-O", "width=200", page).stdout
        # Bold is a character over itself.
        plain = "".join(one for place, one in enumerate(shown) if "\b" not in shown[place : place + 2])
        _, _, examples = plain.partition("EXAMPLES\n")
        assert f"{command}" in examples, f"{page.name} has no example of {command}"


#: What stands on the command line, and all words that may follow; of the last one, beginnings alone where it is begun.
LINES = [
    ("tollgatectl key li", {"limit", "list"}),
    ("tollgatectl key lis", {"list"}),
    ("tollgatectl org sus", {"suspend"}),
    ("tollgatectl key issue --allow-", {"--allow-from", "--allow-tool"}),
    ("tollgate config sch", {"schema"}),
    ("tollgate health --li", {"--live"}),
]
BASH = """
. /usr/share/bash-completion/bash_completion
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
read -ra COMP_WORDS <<<"$1"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_completion_loader "${COMP_WORDS[0]}"
function=$(complete -p "${COMP_WORDS[0]}" | sed -E 's/.* -F (\\S+).*/\\1/')
"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(("line", "words"), LINES, ids=[line for line, _ in LINES])
def test_bash_completes(folder, line, words):
    """Loaded the way bash-completion does it, when the command is first completed."""
    (folder / "completions").symlink_to(COMPLETIONS / "bash")
    done = run("bash", "-c", BASH, "bash", line, BASH_COMPLETION_USER_DIR=str(folder))
    assert (done.returncode, done.stderr, set(done.stdout.split())) == (0, "", words)


def test_fish_completes(folder):
    """It offers nothing for a command that isn't there."""
    asked = "; echo; ".join(f"complete -C '{line}'" for line, _ in LINES)
    path = f"{built('tollgate').parent}:{os.environ['PATH']}"
    script = f"set -p fish_complete_path {COMPLETIONS}/fish; {asked}"
    done = run("fish", "-c", script, HOME=str(folder), PATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    found = [{row.split("\t")[0] for row in part.splitlines()} for part in done.stdout.split("\n\n")]
    assert found == [words for _, words in LINES]


def test_zsh_knows_whose_they_are(folder):
    script = f"""
    fpath=({COMPLETIONS}/zsh $fpath)
    autoload -Uz compinit && compinit -D -u
    print -l $_comps[tollgate] $_comps[tollgatectl]
    autoload +X _tollgate _tollgatectl
    """
    done = run("zsh", "-f", "-c", script, HOME=str(folder), ZDOTDIR=str(folder))
    assert (done.returncode, done.stdout, done.stderr) == (0, "_tollgate\n_tollgatectl\n", "")
