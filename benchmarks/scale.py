"""Ranks ten million tagged responses, overall and by each of six segments, beside the same in plain pandas.

Run: ``python benchmarks/scale.py`` (``--rows 1000000`` for a quick one, ``--only whyscore`` for one way).
Hypothesis: at most 20 s and 2 GB on two cores, and the same figures as pandas to 1e-9. Each way runs in a
process of its own, on two cores; memory is that process's peak. Pandas does less: see `plain_pandas`. A third
way takes the digests of a manifest too. The data and the figures are kept in ``benchmarks/out/scale``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  # after the project's folder is on the path
import pandas as pd  # noqa: E402
from plain_pandas import FIGURES, rank_in_pandas  # noqa: E402
from tagged_answers import SEGMENTS, write_answers  # noqa: E402

OUT = ROOT / "benchmarks" / "out" / "scale"
CORES = 2
SECONDS, GIGABYTES = 20.0, 2.0
WAYS = ("whyscore", "pandas", "manifest")


def rank_in_whyscore(path: Path, *, digests: bool = False) -> pd.DataFrame:
    """Rank the file, with a manifest's digests if asked; give the figures that pandas computes too."""
    from data.row_digests import DigestKey
    from data.scale import NPS
    from data.scratch_database import DatabaseLimits
    from model.file_ranking import rank_file
    from model.ranking import Ranking

    key = DigestKey("0" * 32) if digests else None
    found = rank_file(path, NPS, tuple(SEGMENTS), key=key, limits=DatabaseLimits(threads=CORES))

    def rows(segment: str, value: object, ranking: Ranking) -> list[tuple[object, ...]]:
        return [
            (segment, value, row.code, *(getattr(row, name) for name in FIGURES[:-1]), row.impact.value)
            for row in (*ranking.rows, *ranking.buckets)
        ]

    table = rows("", 0, found.overall)
    for segment, parts in found.groups.items():
        for value, ranking in parts.items():
            table += rows(segment, value, ranking)
    keys = ["segment", "value", "cause"]
    return pd.DataFrame(table, columns=[*keys, *FIGURES]).set_index(keys)


def measured(way: str, path: Path, out: Path) -> dict[str, float]:
    """Rank in a child process; give its wall and processor seconds and its peak memory in GB."""
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES), "OPENBLAS_NUM_THREADS": str(CORES)}
    command = [sys.executable, __file__, "--child", way, "--file", str(path), "--out", str(out)]
    start = time.perf_counter()
    child = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{way} ended with {os.waitstatus_to_exitcode(status)}")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {"wall_s": seconds, "cpu_s": used.ru_utime + used.ru_stime, "peak_gb": peak}


def run_child(way: str, path: Path, out: Path) -> None:
    """Rank once and write the figures."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if way == "pandas":
        frame = rank_in_pandas(path, tuple(SEGMENTS)).reset_index()
    else:
        frame = rank_in_whyscore(path, digests=way == "manifest").reset_index()
    frame["value"] = frame["value"].astype(str)
    frame.to_parquet(out)


def worst_difference(first: Path, second: Path) -> float:
    """Give the greatest relative difference of any figure; refuse figures that only one of the two has."""
    tables = []
    for path in (first, second):
        table = pd.read_parquet(path).set_index(["segment", "value", "cause"])[list(FIGURES)].sort_index()
        tables.append(table[table["mentions"] > 0])
    if not tables[0].index.equals(tables[1].index):
        raise SystemExit("the two ranked other causes")
    a, b = (table.to_numpy(dtype=float) for table in tables)
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b))))


def main() -> None:
    """Measure, compare, print; ends with 1 where a bound or the comparison fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(arguments.child, arguments.file, arguments.out)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"tags-{arguments.rows}.parquet"
    if not path.exists():
        write_answers(path, arguments.rows)
    ways = [arguments.only] if arguments.only else list(WAYS)
    figures = {way: OUT / f"{way}-{arguments.rows}.parquet" for way in WAYS}
    found = {way: measured(way, path, figures[way]) for way in ways}
    print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e9:.2f} GB of Parquet; {len(SEGMENTS)} segments")
    print("            wall s    CPU s  peak GB")
    for way, cost in found.items():
        print(f"{way:<10} {cost['wall_s']:>7.1f}  {cost['cpu_s']:>7.1f}  {cost['peak_gb']:>7.2f}")
    failed = False
    if len(ways) > 1:
        ratios = [found["pandas"][name] / found["whyscore"][name] for name in ("wall_s", "cpu_s", "peak_gb")]
        print("ratio      {:>7.1f}  {:>7.1f}  {:>7.1f}".format(*ratios))
        worst = worst_difference(figures["whyscore"], figures["pandas"])
        print(f"greatest difference of a figure, relative to the greater of it and 1: {worst:.1e}")
        failed = worst > 1e-9
    if "whyscore" in found and arguments.rows == 10_000_000:
        cost = found["whyscore"]
        met = cost["wall_s"] <= SECONDS and cost["peak_gb"] <= GIGABYTES
        print(f"at most {SECONDS:.0f} s and {GIGABYTES:.0f} GB: {'met' if met else 'missed'}")
        failed |= not met
    (OUT / f"measured-{arguments.rows}.json").write_text(json.dumps(found, indent=2))
    sys.exit(failed)


if __name__ == "__main__":
    main()
