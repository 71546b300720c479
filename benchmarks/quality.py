"""How well the product tags: trains and measures through the public commands on real comments.

Run: ``python benchmarks/quality.py fabsa`` or ``... nhs_fft`` (``--seeds 0 1 2`` for a spread).
Hypothesis: at least 0.77 pair micro-F1 on FABSA (published: DistilBERT 0.774 / 0.538, TF-IDF + SVM
0.704 / 0.421) and at least 0.72 micro-F1 on NHS themes with 50 or more examples (published, on more
data: DistilBERT 0.75 / 0.67, SVC 0.71). Results are kept in ``benchmarks/out`` and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from measuring_sets import ROOT
from protocols import grouped

OUT = ROOT / "benchmarks" / "out"


def whyscore(*arguments: str, home: Path) -> dict[str, Any]:
    """Run a public command with ``--json`` and give what it printed."""
    environment = os.environ | {"WHYSCORE_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "whyscore", *arguments, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"whyscore {arguments[0]} ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(name: str, seed: int, again: bool) -> dict[str, Any]:
    """Train and measure once; a result that is already there is given back."""
    folder = OUT / name
    kept = folder / f"seed-{seed}.json"
    if kept.is_file() and not again:
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    files = grouped(folder, name)
    home = folder / f"home-{seed}"
    start = time.perf_counter()
    trained = whyscore(
        "train", str(files.train), "--taxonomy", str(files.taxonomy), "--seed", str(seed), home=home
    )
    seconds = time.perf_counter() - start
    result = whyscore("evaluate", str(files.held_out), "--model", trained["model"], home=home)
    result |= {"train_seconds": round(seconds, 1), "training": trained["training"], "seed": seed}
    kept.write_text(json.dumps(result, indent=2))
    return result


def main() -> None:
    """Print one row for each seed, and mean and spread."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=["fabsa", "nhs_fft"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--again", action="store_true", help="measure again where a result is kept")
    arguments = parser.parse_args()
    results = [measure(arguments.data, seed, arguments.again) for seed in arguments.seeds]
    print(
        f"{arguments.data}: {results[0]['comments']} comments, grouped and held out; pair = (code, polarity)"
    )
    print("seed  pair micro-F1  pair macro-F1  code micro-F1  code macro-F1  train s")
    for r in results:
        print(
            f"{r['seed']:>4}  {r['pair_micro_f1']:>13.4f}  {r['pair_macro_f1']:>13.4f}  "
            f"{r['code_micro_f1']:>13.4f}  {r['code_macro_f1']:>13.4f}  {r['train_seconds']:>7.0f}"
        )
    if len(results) > 1:
        for figure in ("pair_micro_f1", "pair_macro_f1"):
            values = [r[figure] for r in results]
            print(f"{figure}: {mean(values):.4f} +- {pstdev(values):.4f}")


if __name__ == "__main__":
    main()
