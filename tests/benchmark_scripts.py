"""Imports scripts of `benchmarks`; its folder must not stay on the path: ``coverage`` is another's name."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def load(name):
    """Import a script; those beside it that it imports are found while it is."""
    known = f"benchmark_{name}"
    if known in sys.modules:
        return sys.modules[known]
    before = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location(known, FOLDER / f"{name}.py")
        module = sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path[:] = before
