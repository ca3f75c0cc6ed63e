# SPDX-License-Identifier: Apache-2.0
"""A signal that asks this program to end ends what it has started too: by an exception, but never between a process' start
and its being known."""

import signal
import sys
from contextlib import contextmanager

_held = False
_asked = 0


def on_signals():
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _asks)


@contextmanager
def held():
    """What is asked for in here comes at its end."""
    global _held
    _held = True
    try:
        yield
    finally:
        _held = False
    if _asked:
        _end()


def _asks(by: int, _):
    global _asked
    _asked = by
    if not _held:
        _end()


def _end():
    # Once: what is cleared away then is not to be disturbed.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + _asked)
