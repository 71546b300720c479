"""How well the product reads comments: one table, the product against peers on the same splits.

Run: ``python benchmarks/quality.py`` for everything, which takes hours, or for some rows and methods:
``python benchmarks/quality.py fabsa nhs_fft --methods product svm``. Hypothesis: the product reaches what the
column "asked" of the table says in every row. Everything runs in this process, one measurement after the
other (SetFit may have an interpreter of its own: ``--setfit-python``, see ``setfit_peer.py``). Results are
kept in ``benchmarks/results/quality``, with the commit that was measured, and not measured again while the
data are the same; ``--list`` shows the experiments, ``--table`` prints what is kept,
``--again`` measures anew.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from experiments import METHODS, ROWS, WITHOUT_TEACHER, Experiment, experiments
from measuring_sets import ROOT
from quality_table import markdown
from runs import Plan, kept_result, measure

OUT = ROOT / "benchmarks" / "out" / "quality"
KEPT = ROOT / "benchmarks" / "results" / "quality"


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    arguments = _arguments()
    names = arguments.rows or [row.name for row in ROWS]
    plan = Plan(
        OUT.with_name("quality-tiny") if arguments.tiny else OUT,
        arguments.tiny,
        arguments.again,
        arguments.setfit_python,
        arguments.setfit_pairs,
        arguments.teacher_encoder,
        None if arguments.tiny else KEPT,
    )
    for experiment in [] if arguments.table else list(experiments(names, arguments.methods, arguments.seeds)):
        if not any(fnmatch.fnmatch(experiment.name, pattern) for pattern in arguments.only):
            continue
        if arguments.list:
            print(f"{experiment.name:<60} {_brief(experiment, kept_result(experiment, plan))}")
            continue
        print(f"{experiment.name} ...", end=" ", file=sys.stderr, flush=True)
        print(_brief(experiment, measure(experiment, plan)), file=sys.stderr, flush=True)
    if not arguments.list:
        table = markdown(names, plan)
        print(table)
        if arguments.markdown:
            arguments.markdown.write_text(table, encoding="utf-8")


def _brief(experiment: Experiment, result: dict[str, Any] | None) -> str:
    if result is None:
        return "not measured"
    figures = {name: result[name] for name in experiment.row.figures if name in result}
    if experiment.part in result.get("pair_f1_of_code", {}):
        figures["pair_f1_of_code"] = result["pair_f1_of_code"][experiment.part]
    named = ", ".join(f"{name} {value or 0.0:.4f}" for name, value in figures.items())
    return f"{named}, {result['seconds']:.0f} s"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of each row's own")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="NAME",
        help="experiments of these names, such as 'fabsa_unseen/*/svm-0'",
    )
    parser.add_argument("--list", action="store_true", help="show the experiments and measure nothing")
    parser.add_argument("--table", action="store_true", help="print the table of what is kept")
    parser.add_argument("--again", action="store_true", help="measure again where a result is kept")
    parser.add_argument(
        "--tiny", type=int, metavar="N", help="N training comments, to see that it goes through"
    )
    parser.add_argument("--setfit-python", type=Path, help="interpreter of an environment that has SetFit")
    parser.add_argument("--setfit-pairs", type=int, help="pairs of comments that SetFit learns from")
    parser.add_argument(
        "--teacher-encoder", type=Path, help="measure the product with a teacher of that encoder as well"
    )
    parser.add_argument("--markdown", type=Path, help="write the table there as well")
    arguments = parser.parse_args()
    arguments.methods = arguments.methods or (METHODS if arguments.teacher_encoder else WITHOUT_TEACHER)
    unknown = set(arguments.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
