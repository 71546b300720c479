"""Proves every interval the product shows: samples from populations whose every figure is known.

Run: ``python benchmarks/coverage.py`` (about ten minutes on one core), ``--only NAME`` for some scenarios,
``--replications N`` for more or fewer, ``--processes N`` for several scenarios at once, ``--fresh`` to begin
anew. Results are kept for each scenario in ``benchmarks/out/coverage`` and a later run goes on from them, so
begin anew after a change of the code. Exits with 1 where a line falls short.

Hypothesis: 95% intervals cover the truth in at least 93% of the trials wherever ten respondents or more are
behind a figure; simultaneous rank sets and tiers hold in at least 95%; of the findings that are flagged at
most a tenth is false (q = 0.10), and at most 7% of their intervals miss. Sets and false findings may miss
their bound by two Monte Carlo errors, as a share at its nominal level does half of the time. Each replication
draws people from a pool with replacement; the truth is that of the pool, computed from the definition
(adjusted effects by statsmodels on the whole pool).

Columns: the share of trials that held (or, for findings, that were false) with its Monte Carlo error, over
the replications; the mean truth and the bias, in points.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from coverage_audit import AuditStudy  # noqa: E402
from coverage_comparison import BridgeStudy, ComparisonStudy  # noqa: E402
from coverage_segments import SegmentStudy  # noqa: E402
from coverage_survey import SurveyStudy  # noqa: E402
from coverage_time import TimeStudy  # noqa: E402
from populations import Recipe  # noqa: E402
from tally import FLOORS, Line, Tally, Trials  # noqa: E402

from data.scale import CES7, CSAT5  # noqa: E402

OUT = ROOT / "benchmarks" / "out" / "coverage"
REPLICATIONS = 500

MANY = Recipe(
    prevalence=(0.30, 0.25, 0.22, 0.20, 0.18, 0.15, 0.12, 0.10, 0.08, 0.06, 0.04, 0.02),
    pull=(0.8, 0.2, 1.0, -0.3, 0.6, 0.9, 0.0, 1.2, 0.5, -0.6, 0.8, 1.0),
    harm=(0.8, 0.2, 1.2, 0.0, 0.5, 1.0, 0.2, 1.0, 0.5, -0.5, 1.0, 1.0),
    silent=0.1,
)
ERRORS = Recipe(missed=0.25, imagined=0.03)
AUDITED = Recipe(missed=0.25, imagined=0.03, uneven=0.5, answers=4)
HARMLESS = Recipe(prevalence=(0.05,) * 20, pull=(0.0,) * 20, harm=(0.0,) * 20)
ALIKE = Recipe(prevalence=(0.05,) * 10, pull=(0.6,) * 10, harm=(1.0,) * 10, alike=True)


class Study(Protocol):
    """A scenario: what it needs is computed once, then it is replicated."""

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and try its intervals."""


SCENARIOS: dict[str, Callable[[], Study]] = {
    "survey of 1,000": lambda: SurveyStudy(Recipe(), 1000),
    "survey of 300": lambda: SurveyStudy(Recipe(), 300),
    "survey of 5,000": lambda: SurveyStudy(Recipe(), 5000),
    "several answers each": lambda: SurveyStudy(Recipe(answers=4), 400),
    "weights": lambda: SurveyStudy(Recipe(uneven=0.7), 1000),
    "weights, several answers": lambda: SurveyStudy(Recipe(uneven=0.7, answers=4), 500),
    "heavy weights": lambda: SurveyStudy(Recipe(uneven=1.0), 1500),
    "many codes a comment": lambda: SurveyStudy(MANY, 500),
    "CSAT": lambda: SurveyStudy(Recipe(scale=CSAT5), 800),
    "CES": lambda: SurveyStudy(Recipe(scale=CES7), 800),
    "equal causes": lambda: SurveyStudy(ALIKE, 800, adjusted=False),
    "harmless causes": lambda: SurveyStudy(HARMLESS, 800, adjusted=False),
    "regions, nothing planted": lambda: SegmentStudy(Recipe(), 2000, planted=False),
    "regions, three hotspots": lambda: SegmentStudy(Recipe(), 2000, planted=True),
    "regions, weights and repeats": lambda: SegmentStudy(Recipe(uneven=0.5, answers=3), 1200, planted=True),
    "weeks, nothing planted": lambda: TimeStudy(Recipe(), 2400, planted=False),
    "weeks, three changes": lambda: TimeStudy(Recipe(), 2400, planted=True),
    "weeks, weights and repeats": lambda: TimeStudy(Recipe(uneven=0.5, answers=3), 1400, planted=False),
    "periods, nothing planted": lambda: ComparisonStudy(Recipe(), 1600, mix=False, planted=False),
    "periods, one cause up": lambda: ComparisonStudy(Recipe(), 1600, mix=False, planted=True),
    "periods, another mix": lambda: ComparisonStudy(Recipe(), 1600, mix=True, planted=True),
    "periods, the same people": lambda: ComparisonStudy(Recipe(answers=4), 700, mix=True, planted=True),
    "periods, weights": lambda: ComparisonStudy(Recipe(uneven=0.5), 1600, mix=True, planted=True),
    "periods, two models": lambda: BridgeStudy(ERRORS, 2000, overlap=0.3),
    "audit of 300": lambda: AuditStudy(ERRORS, 2000, 300, "uniform"),
    "audit of 800": lambda: AuditStudy(ERRORS, 3000, 800, "uniform"),
    "audit of 300, strata": lambda: AuditStudy(ERRORS, 2000, 300, "score-and-code"),
    "audit of 800, strata": lambda: AuditStudy(ERRORS, 3000, 800, "score-and-code"),
    "audit, weights and repeats": lambda: AuditStudy(AUDITED, 1000, 400, "score-and-code"),
}
"""Every scenario by its name."""


def run(name: str, replications: int, fresh: bool = False, out: Path = OUT) -> Tally:
    """Run a scenario, or what is missing of it.

    Parameters
    ----------
    name
        One of `SCENARIOS`.
    replications
        How many there are to be; each has a seed of its own, so that a later run can go on.
    fresh
        Whether to forget what was run before.
    out
        The folder where results are kept.
    """
    path = out / f"{name.replace(' ', '-').replace(',', '').lower()}.json"
    kept = json.loads(path.read_text()) if path.is_file() and not fresh else {}
    done, seconds, tally = kept.get("replications", 0), kept.get("seconds", 0.0), Tally(kept.get("lines"))
    if done >= replications:
        return tally
    start = time.process_time()
    study = SCENARIOS[name]()
    for number in range(done, replications):
        tally.add(study.replicate(np.random.default_rng([zlib.crc32(name.encode()), number])))
    seconds += time.process_time() - start
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"replications": replications, "seconds": seconds, "lines": tally.to_dict()}
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{name}: {replications} replications, {seconds:.0f} s of CPU", file=sys.stderr)
    return tally


def table(tallies: Mapping[str, Tally]) -> Iterable[str]:
    """Give the lines of the table."""
    columns = f"{'runs':>5} {'share':>6} {'+-':>6} {'claim':>7} {'truth':>7} {'bias':>7}"
    yield f"{'scenario':<28} {'figure':<46} {columns}"
    for scenario, tally in tallies.items():
        for name, line in sorted(tally.lines.items()):
            yield _row(scenario, name, line)


def _row(scenario: str, name: str, line: Line) -> str:
    sign = "<=" if line.limits else ">="
    claim = "" if line.claim == "shown" else f"{sign} {FLOORS[line.claim]:.2f}"
    sized = line.size > 0
    figures = f"{line.typical:7.2f} {line.bias:+7.3f}" if sized else f"{'':>7} {'':>7}"
    short = "  SHORT" if line.short else ""
    return (
        f"{scenario:<28} {name:<46} {line.replications:5d} {line.share:6.3f} {line.share_error:6.3f} "
        f"{claim:>7} {figures}{short}"
    )


def main() -> None:
    """Run the scenarios and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="scenarios whose names hold one of these")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args()
    wanted = [name for name in SCENARIOS if not asked.only or any(part in name for part in asked.only)]
    with ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool:
        found = pool.map(run, wanted, repeat(asked.replications), repeat(asked.fresh))
        tallies = dict(zip(wanted, found, strict=True))
    print("\n".join(table(tallies)))
    short = [name for tally in tallies.values() for name, line in tally.lines.items() if line.short]
    print(f"\n{len(short)} of {sum(len(tally.lines) for tally in tallies.values())} lines fall short.")
    sys.exit(bool(short))


if __name__ == "__main__":
    main()
