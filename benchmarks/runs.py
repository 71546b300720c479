"""Measures experiments one after the other, in this process, and keeps each result as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments import Experiment
from measurement import Prediction, Problem, figures_of, shrink
from measuring_sets import ROOT


@dataclass(frozen=True)
class Plan:
    """Where results are kept, and what the methods need to be told.

    Attributes
    ----------
    folder
        Of the protocols' files, and of the results where `kept` names no folder.
    tiny
        Use this many training comments only, to see that everything goes through.
    again
        Measure again where a result is kept.
    setfit_python, setfit_pairs
        See `setfit_peer.setfit`.
    teacher_encoder
        See `taught.taught`.
    kept
        Folder of the results.
    """

    folder: Path
    tiny: int | None = None
    again: bool = False
    setfit_python: Path | None = None
    setfit_pairs: int | None = None
    teacher_encoder: Path | None = None
    kept: Path | None = None

    @property
    def results(self) -> Path:
        """Give the folder of the results."""
        return self.kept or self.folder / "results"


def kept_result(experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """Give the result that is kept, None where there is none."""
    path = plan.results / f"{experiment.name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def measure(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Measure one experiment and keep its result; what is kept of the same files is given back.

    Returns
    -------
    dict
        The figures (see `figures_of`), ``seconds`` of the method from texts to read texts, and where and
        on what it ran.
    """
    files = plan.folder / "files" / experiment.row.name / experiment.part / str(experiment.seed)
    problem = experiment.row.build(files, experiment.part, experiment.seed)
    if plan.tiny:
        problem = shrink(problem, plan.tiny)
    kept = kept_result(experiment, plan)
    if kept is not None and kept["data"] == problem.files.digest() and not plan.again:
        return kept
    start = time.perf_counter()
    prediction = read_with(experiment.method, problem, experiment.seed, plan)
    seconds = time.perf_counter() - start
    result = {
        "experiment": experiment.name,
        "data": problem.files.digest(),
        "train": len(problem.train.comments),
        "held_out": len(problem.held.comments),
        "seconds": round(seconds, 1),
        **figures_of(problem, prediction),
        "notes": prediction.notes,
        **_surroundings(),
    }
    path = plan.results / f"{experiment.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def read_with(method: str, problem: Problem, seed: int, plan: Plan) -> Prediction:
    """Let a method learn and read; each is imported when it is first needed."""
    if method == "product":
        from product import product

        return product(problem, seed)
    if method == "taught":
        from taught import taught

        return taught(problem, seed, plan.teacher_encoder, plan.folder / "teachers")
    if method == "pooling":
        from pooling import pooling

        return pooling(problem, seed)
    if method == "setfit":
        from setfit_peer import setfit

        return setfit(problem, seed, plan.setfit_python, plan.setfit_pairs)
    from linear_peers import frozen_logistic, tfidf_svm, untuned_svm

    return {"svm": tfidf_svm, "untuned": untuned_svm, "frozen": frozen_logistic}[method](problem, seed)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _surroundings() -> dict[str, Any]:
    # Results that were just written are not a change of what is measured.
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    packages = ("torch", "transformers", "scikit-learn", "sentence-transformers")
    return {
        "commit": _git("describe", "--always") + ("-dirty" if changed else ""),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in packages},
    }
