# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this project need on a machine, and how they say what they do. Sourced, not run.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' plain=''
fi

say() { printf '%s==>%s %s%s%s\n' "$green" "$plain" "$bold" "$*" "$plain"; }
complain() { printf '%s%s%s\n' "$red" "$*" "$plain" >&2; }

# Runs a long command with its output in a file, and shows that it goes on: its last line on a terminal, else a line
# every half minute. What it said is shown if it fails.
# usage: watched TITLE FILE COMMAND...
watched() {
    local title=$1 file=$2 code=0 began=$SECONDS last
    shift 2
    say "$title"
    "$@" >"$file" 2>&1 </dev/null &
    watched_pid=$!
    while kill -0 "$watched_pid" 2>/dev/null; do
        last=$(tail -n 1 "$file" 2>/dev/null | tr -d '\r' | cut -c 1-70) || last=''
        if [[ -t 1 ]]; then
            printf '\r\e[K    %s%3d s  %s%s' "$dim" $((SECONDS - began)) "$last" "$plain"
        elif ((SECONDS > began && (SECONDS - began) % 30 == 0)); then
            printf '    %d s  %s\n' $((SECONDS - began)) "$last"
        fi
        sleep 1
    done
    wait "$watched_pid" || code=$?
    watched_pid=''
    if [[ -t 1 ]]; then printf '\r\e[K'; fi
    if ((code != 0)); then
        complain "$title: failed with $code"
        tail -n 60 "$file" >&2
        return "$code"
    fi
    printf '    %sdone in %d s%s\n' "$dim" $((SECONDS - began)) "$plain"
}

# Makes sure of a Swift toolchain, of Debian packages and of a Python that the pinned packages run on. Without root it
# prints the line that a person has to run, and fails.
# usage: need PACKAGE...
need() {
    local missing=() package
    if ! command -v swift >/dev/null; then
        complain 'No swift in PATH. A toolchain for Debian or Ubuntu, 6.2 or later: https://www.swift.org/install/linux/'
        return 69
    fi
    if ! command -v dpkg-query >/dev/null; then
        complain "This is not Debian or Ubuntu. Needed here, under whatever names: $*"
        return 69
    fi
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    # A Python of one's own in PATH has no Debian package; what counts is that it can make an environment.
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then
        mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -v '^python3-venv$')
    fi
    [[ ${#missing[@]} -eq 0 || -z ${missing[0]} ]] || install "${missing[@]}" || return
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        complain "Python 3.11 or later is needed (Debian 12, Ubuntu 24.04); python3 here is $(python3 --version 2>&1)"
        return 69
    fi
}

install() {
    if ((EUID != 0)); then
        complain 'Something is missing. Please run this, then start again:'
        printf '    sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n' "$*" >&2
        return 69
    fi
    say "Installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

# Makes a Python environment with exactly the packages of a requirements file, unless it is there already.
# usage: python_environment FOLDER REQUIREMENTS LOG
python_environment() {
    local pins
    # One file may name another; whichever changes, all is made anew.
    pins=$(cat deploy/demo/requirements.txt Tests/EndToEnd/requirements-*.txt | sha256sum)
    [[ -f $1/pins && $(<"$1/pins") == "$pins" ]] && return
    rm -rf "$1"
    watched "Installing the Python packages of $2" "$3" make_environment "$1" "$2" || return
    printf '%s' "$pins" >"$1/pins"
}

make_environment() {
    python3 -m venv "$1" && "$1/bin/pip" install --disable-pip-version-check --no-input -r "$2"
}
