"""SetFit from its own package, on the same encoder: in this process where it is installed, else in another.

An environment of its own: ``python3 -m venv setfit-env`` and
``setfit-env/bin/pip install torch==2.13.0 setfit==1.2.0 transformers==5.23.0 sentence-transformers==6.2.0``;
then ``--setfit-python setfit-env/bin/python``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measurement import Part, Prediction, Problem, empty_probabilities, set_apart, thresholds_of
from numpy.typing import NDArray

from model.decision import decide
from model.encoder import resolve_encoder

PAIRS = 32_000
PAIRS_A_TEXT = 40
"""Twenty of like and twenty of unlike texts for each: the paper's R = 20."""


def setfit(problem: Problem, seed: int, python: Path | None = None, pairs: int | None = None) -> Prediction:
    """Fit on all training comments but those set apart for the thresholds, and read the rest.

    Parameters
    ----------
    python
        The interpreter of an environment that has setfit; None is this process.
    pairs
        Pairs of comments to learn from; 40 for each training comment, 32,000 at most, where None.

    Raises
    ------
    SystemExit
        If SetFit is not to be had, or ended badly.
    """
    fitting, validation = (problem.train.rows(rows) for rows in set_apart(problem.train))
    budget = pairs or min(PAIRS, PAIRS_A_TEXT * len(fitting.comments))
    used = np.argwhere(fitting.present.any(axis=0))
    task = {
        "encoder": str(resolve_encoder().folder),
        "texts": fitting.comments,
        "labels": _labels(fitting, used, problem.single),
        "read": [validation.comments, problem.held.comments],
        "pairs": budget,
        "seed": seed,
    }
    result = _run(task, python)
    guessed, probabilities = (
        _spread(problem, np.asarray(part, np.float64), used, result["classes"])
        for part in result["probabilities"]
    )
    thresholds = thresholds_of(guessed, validation)
    notes = {"pairs": budget, "versions": result["versions"]}
    return Prediction(probabilities, decide(probabilities, thresholds), notes)


def _labels(part: Part, used: NDArray[np.intp], single: bool) -> list[Any]:
    if single:
        found: list[Any] = part.present.any(axis=-1).argmax(axis=-1).tolist()
    else:
        found = part.present[:, used[:, 0], used[:, 1]].astype(int).tolist()
    return found


def _spread(
    problem: Problem, probabilities: NDArray[np.float64], used: NDArray[np.intp], classes: list[int]
) -> NDArray[np.float64]:
    spread = empty_probabilities(problem, len(probabilities))
    if problem.single:
        spread[:, classes, 0] = probabilities
    else:
        spread[:, used[:, 0], used[:, 1]] = probabilities
    return spread


def _run(task: dict[str, Any], python: Path | None) -> dict[str, Any]:
    if python is None:
        if importlib.util.find_spec("setfit") is None:
            raise SystemExit("SetFit is not installed here; see the head of benchmarks/setfit_peer.py")
        from setfit_worker import fit_and_read

        return fit_and_read(task)
    with tempfile.TemporaryDirectory(prefix="setfit-") as folder:
        source, target = Path(folder, "task.json"), Path(folder, "result.json")
        source.write_text(json.dumps(task), encoding="utf-8")
        worker = Path(__file__).with_name("setfit_worker.py")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(python), "-P", str(worker), str(source), str(target)],
            env=environment | {"HF_HUB_OFFLINE": "1"},
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"SetFit ended with {done.returncode}")
        result: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return result
