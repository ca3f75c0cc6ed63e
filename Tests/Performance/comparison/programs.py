# SPDX-License-Identifier: Apache-2.0
"""The programs of Tests/Performance as modules, for each other and for tests."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[1]


def program(name: str) -> ModuleType:
    """One that has no suffix, so `import` doesn't find it."""
    loader = importlib.machinery.SourceFileLoader(name, str(FOLDER / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    # For its dataclasses.
    sys.modules[name] = module
    loader.exec_module(module)
    return module
