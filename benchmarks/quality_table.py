"""The benchmark's table: what each method reaches in each row, beside what is asked and published."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, pstdev
from typing import Any

from experiments import METHODS, ROWS, WHOLE, Experiment, Row
from runs import Plan, kept_result


def markdown(names: Sequence[str], plan: Plan) -> str:
    """Give the table of some rows, and the seconds that the methods took, from the kept results."""
    rows = [row for row in ROWS if row.name in names]
    values = {(row.name, method): over_seeds(row, method, plan) for row in rows for method in METHODS}
    head = ["data", "measure", "asked", "reached", *METHODS.values(), "published"]
    lines = [
        [
            row.title,
            row.measure,
            row.asked,
            _reached(row, {method: values[row.name, method] for method in METHODS}),
            *(_cell(values[row.name, method]) for method in METHODS),
            row.published or "-",
        ]
        for row in rows
    ]
    seconds = [[row.title, *(_seconds(row, method, plan) for method in METHODS)] for row in rows]
    return f"{_table(head, lines)}\n\n{_table(['seconds of one measurement', *METHODS.values()], seconds)}\n"


def over_seeds(row: Row, method: str, plan: Plan) -> list[tuple[float, ...]]:
    """Give the row's figures for each seed of which all parts are measured, each the mean over the parts."""
    found = []
    for seed in _seeds(row, method, plan):
        parts = [_figures(Experiment(row, part, method, seed), plan) for part in row.parts()]
        whole = [part for part in parts if part is not None]
        if len(whole) == len(parts):
            found.append(tuple(mean(column) for column in zip(*whole, strict=True)))
    return found


def _seeds(row: Row, method: str, plan: Plan) -> list[int]:
    """Give the seeds of which anything is kept."""
    found = (plan.results / row.name).glob(f"*/{method}-*.json")
    return sorted({int(path.stem.rpartition("-")[2]) for path in found})


def _figures(experiment: Experiment, plan: Plan) -> tuple[float, ...] | None:
    result = kept_result(experiment, plan)
    if result is None:
        return None
    values = [_figure(name, experiment, result, plan) for name in experiment.row.figures]
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def _figure(name: str, experiment: Experiment, result: dict[str, Any], plan: Plan) -> float | None:
    """Give a figure of a result; `unseen`, `share` and `change` are made from several."""
    part = experiment.part
    if name == "unseen":
        return float(result["pair_f1_of_code"][part] or 0.0)
    if name not in ("share", "change"):
        return float(result[name] or 0.0)
    whole = next(row for row in ROWS if row.name == "fabsa")
    # The model that the code is added to is of seed 0, whichever comments are drawn.
    full = kept_result(Experiment(whole, WHOLE, experiment.method, 0), plan)
    if full is None:
        return None
    if name == "share":
        return float(result["pair_f1_of_code"][part] or 0.0) / max(full["pair_f1_of_code"][part] or 0.0, 1e-9)
    return float(result["pair_f1_of_others"][part]) - float(full["pair_f1_of_others"][part])


def _reached(row: Row, values: dict[str, list[tuple[float, ...]]]) -> str:
    """Say whether the product's mean reaches what is asked; a dash where something is not measured yet."""
    if not values["product"] or any(not values[method] for method in row.margins):
        return "-"
    means = {method: [mean(c) for c in zip(*seeds, strict=True)] for method, seeds in values.items() if seeds}
    own = means["product"]
    enough = all(round(value, 3) >= least for value, least in zip(own, row.minimum, strict=False))
    ahead = all(round(own[0] - means[method][0], 3) >= margin for method, margin in row.margins.items())
    return "yes" if enough and ahead else "no"


def _cell(seeds: list[tuple[float, ...]]) -> str:
    if not seeds:
        return "-"
    columns = list(zip(*seeds, strict=True))
    means = " / ".join(f"{mean(column):.3f}" for column in columns)
    if len(seeds) == 1:
        return means
    return f"{means} (± {' / '.join(f'{pstdev(column):.3f}' for column in columns)}, {len(seeds)} seeds)"


def _seconds(row: Row, method: str, plan: Plan) -> str:
    results = [
        kept_result(Experiment(row, part, method, seed), plan)
        for seed in _seeds(row, method, plan)
        for part in row.parts()
    ]
    seconds = [result["seconds"] for result in results if result is not None]
    pairs = {result["notes"]["pairs"] for result in results if result and "pairs" in result["notes"]}
    budget = f" ({', '.join(f'{p:,}' for p in sorted(pairs))} pairs)" if pairs else ""
    return f"{mean(seconds):,.0f}{budget}" if seconds else "-"


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
