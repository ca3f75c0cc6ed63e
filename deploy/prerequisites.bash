# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this project need on a machine, and how they say what they do. Sourced, not run.

# Whether a descriptor is a terminal that is to have colours.
has_colours() { [[ -t $1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; }

if has_colours 1; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' green='' plain=''
fi

say() { printf '%s==>%s %s%s%s\n' "$green" "$plain" "$bold" "$*" "$plain"; }
complain() {
    if has_colours 2; then printf '\e[31m%s\e[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}

# Seconds of silence after which a command that could not reach something is taken to wait for it in vain.
SILENCE=15

# Runs a long command with its output in a file, and shows that it goes on: its last line on a terminal, else a line
# every half minute. If it fails, what it said is shown, and last a line that tells what to do about it. A script that
# sets `apart` ends `watched_pid` itself, the leader of a process group. What fetches nothing is run with `offline` set: it
# may speak of networks without missing one.
# usage: watched TITLE FILE COMMAND...
watched() {
    local title=$1 file=$2 code=0 began=$SECONDS heard=$SECONDS size='' last
    shift 2
    say "$title"
    if [[ -n ${apart:-} ]]; then set -m; fi
    "$@" >"$file" 2>&1 </dev/null &
    watched_pid=$!
    set +m
    while kill -0 "$watched_pid" 2>/dev/null; do
        if [[ $size != "$(stat -c %s "$file")" ]]; then size=$(stat -c %s "$file") heard=$SECONDS; fi
        # Swift's package manager now and then waits for ever for what it could not fetch.
        if [[ -z ${offline:-} ]] && ((SECONDS - heard >= SILENCE)) && unreachable "$file" >/dev/null; then
            kill -KILL -- "${apart:+-}$watched_pid"
        fi
        last=$(tail -n 1 "$file" 2>/dev/null | tr -d '\r' | cut -c 1-70) || last=''
        if [[ -t 1 ]]; then
            printf '\r\e[K    %s%3d s  %s%s' "$dim" $((SECONDS - began)) "$last" "$plain"
        elif ((SECONDS > began && (SECONDS - began) % 30 == 0)); then
            printf '    %d s  %s\n' $((SECONDS - began)) "$last"
        fi
        sleep 1
    # The shell's own word on what was killed is nobody's business.
    done 2>/dev/null
    wait "$watched_pid" 2>/dev/null || code=$?
    watched_pid=''
    if [[ -t 1 ]]; then printf '\r\e[K'; fi
    if ((code != 0)); then
        if [[ -z ${offline:-} ]] && last=$(unreachable "$file"); then
            complain "$title: no network? Check it, and https_proxy if there is a proxy, then start again. It said: $last"
            return 69
        fi
        tail -n 60 "$file" >&2
        complain "$title: failed with $code; what it said is above"
        return "$code"
    fi
    printf '    %sdone in %d s%s\n' "$dim" $((SECONDS - began)) "$plain"
}

# The line in which git, Swift's package manager or pip says that it can't reach what it wants; fails if there is none.
unreachable() {
    local words='fatal: unable to access|Failed to clone repository|Failed to establish a new connection|ProxyError'
    words+='|Temporary failure in name resolution|Could not resolve host|Network is unreachable'
    grep -m 1 -E "$words" "$1" | cut -c 1-300
    return "${PIPESTATUS[0]}"
}

has_header() { [[ -f /usr/include/$1 || -f /usr/local/include/$1 ]]; }

# Whether what a Debian package is wanted for is there, whichever way it came.
is_there() {
    case $1 in
        libhiredis-dev) has_header hiredis/hiredis.h ;;
        libyaml-dev) has_header yaml.h ;;
        nettle-dev) has_header nettle/sha2.h ;;
        buildah | curl | openssl | redis-server | shellcheck | valgrind | wrk) command -v "$1" ;;
        procps) command -v ps ;;
        prometheus) command -v promtool ;;
        systemd) command -v systemd-analyze ;;
        python3-venv) python3 -c 'import ensurepip, venv' ;;
        *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1") == installed ]] ;;
    esac >/dev/null 2>&1
}

# Makes sure of a Swift toolchain, of Debian packages and, where they are among those, of a Redis and a Python that are
# new enough. What a person has to do is the last line that it says when it fails.
# usage: need PACKAGE...
need() {
    local missing=() package
    if ! command -v swift >/dev/null; then
        complain 'No swift in PATH. Install a toolchain, 6.2 or later: https://www.swift.org/install/linux/'
        return 69
    fi
    if is_older 6.2 "$(swift --version 2>&1 | sed -nE 's/.*Swift version ([0-9.]+).*/\1/p' | head -n 1)"; then
        complain "Swift 6.2 or later is needed, $(command -v swift) is older: https://www.swift.org/install/linux/"
        return 69
    fi
    for package in "$@"; do
        is_there "$package" || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || install "${missing[@]}" || return
    for package in "$@"; do
        case $package in
            redis-server) need_redis || return ;;
            python3-venv) need_python || return ;;
        esac
    done
}

# Whether a version is older than another, which it isn't if nobody knows it. usage: is_older WANTED FOUND
is_older() { [[ -n $2 && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) != "$1" ]]; }

# Valkey's redis-server says its version in the same words.
need_redis() {
    local found
    found=$(redis-server --version 2>&1 | sed -nE 's/.* v=([0-9.]+).*/\1/p')
    if is_older 7.0 "$found"; then
        complain "Redis 7.0 or later is needed, $(command -v redis-server) is $found. Put a newer one, or Valkey, first in PATH: https://redis.io/docs/latest/operate/oss_and_stack/install/"
        return 69
    fi
}

need_python() {
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        complain "Python 3.11 or later is needed (Debian 12, Ubuntu 24.04); python3 here is $(python3 --version 2>&1)"
        return 69
    fi
}

install() {
    local said package
    if ! command -v apt-get >/dev/null; then
        complain "Missing, and this is neither Debian nor Ubuntu: install what there is called $*, then start again"
        return 69
    fi
    if ((EUID != 0)); then
        complain "Missing: $*. Run this, then start again: sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        return 77
    fi
    say "Installing $*"
    # Lists that are old may do; whether they did, the second command tells.
    if ! said=$({
        DEBIAN_FRONTEND=noninteractive apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    } 2>&1 </dev/null); then
        # What it could not fetch is the cause of what it then does not know.
        said=$(grep -m 1 'Failed to fetch' <<<"$said" || grep -m 1 '^E: ' <<<"$said" || tail -n 1 <<<"$said")
        complain "Could not install $*. Is there a network? apt-get said: ${said:0:300}"
        return 69
    fi
    for package in "$@"; do
        if ! is_there "$package"; then
            complain "$package is installed, but not to be found: PATH is $PATH"
            return 69
        fi
    done
}

# Makes a Python environment with exactly the packages of a requirements file, unless it is there already.
# usage: python_environment FOLDER REQUIREMENTS LOG
python_environment() {
    local pins
    # With the files that it names; whichever changes, all is made anew.
    pins=$({ cat "$2" && sed -n "s|^-r |${2%/*}/|p" "$2" | xargs -r cat; } | sha256sum)
    [[ -f $1/pins && $(<"$1/pins") == "$pins" ]] && return
    rm -rf "$1"
    watched "Installing the Python packages of $2" "$3" make_environment "$1" "$2" || return
    printf '%s' "$pins" >"$1/pins"
}

make_environment() {
    python3 -m venv "$1" && "$1/bin/pip" install --disable-pip-version-check --no-input --progress-bar off -r "$2"
}
