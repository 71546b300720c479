"""Lets tests import the benchmarks' modules by their names, without putting their folder on the path.

`coverage` among them is also the name of a package, for which numba looks; whoever finds the benchmark in its
place fails. So that one is imported under another name: `coverage_benchmark`.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
FILES = {path.stem: path for path in FOLDER.glob("*.py")}
FILES["coverage_benchmark"] = FILES.pop("coverage")


class Benchmarks(MetaPathFinder):
    """Finds the benchmarks' modules, after everything else was asked."""

    def find_spec(self, fullname, path=None, target=None):
        file = FILES.get(fullname)
        return spec_from_file_location(fullname, file) if file else None


sys.meta_path.append(Benchmarks())
