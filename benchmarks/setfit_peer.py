"""SetFit from its own package, on the same encoder: in this process where it is installed, else in another.

An environment of its own: ``python3 -m venv setfit-env`` and
``setfit-env/bin/pip install torch==2.13.0 setfit==1.2.0 transformers==5.23.0 sentence-transformers==6.2.0``;
then ``--setfit-python setfit-env/bin/python``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from definitions import by_definition
from measurement import Part, Prediction, Problem, empty_probabilities, read_problem, set_apart, thresholds_of
from measuring_sets import Converted
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model.decision import decide
from model.definitions import code_texts
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
    if problem.unseen:
        return _unseen(problem, seed, python, pairs)
    if problem.before is not None:
        return _late_code(problem, problem.before, seed, python, pairs)
    fitting, validation = (problem.train.rows(rows) for rows in set_apart(problem.train))
    fit = _Fit(problem, fitting, seed, python, pairs)
    (guessed, probabilities), _ = fit.read([validation.comments, problem.held.comments])
    chosen = decide(probabilities, thresholds_of(guessed, validation))
    return Prediction(probabilities, chosen, fit.notes)


def _unseen(problem: Problem, seed: int, python: Path | None, pairs: int | None) -> Prediction:
    """Find a code that no annotation knows by its definition, under the encoder tuned on the other codes."""
    fit = _Fit(problem, problem.train, seed, python, pairs)
    texts = [text for code in problem.labels.codes for text in code_texts(problem.taxonomy[code])]
    every = list(dict.fromkeys([*problem.train.comments, *problem.held.comments, *texts]))
    key = (problem.files.digest(), seed)
    if key not in _EMBEDDED:  # codes that are unseen together share one fit
        _EMBEDDED[key] = dict(zip(every, fit.read([], every)[1], strict=True)), fit.notes
    embedded, notes = _EMBEDDED[key]

    def features(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([embedded[text] for text in texts])

    parts = features(problem.train.comments), features(problem.held.comments)
    found = by_definition(problem, *parts, features, LogisticRegression(max_iter=2000))
    return dataclasses.replace(found, notes=found.notes | notes)


_EMBEDDED: dict[tuple[str, int], tuple[dict[str, NDArray[np.float32]], dict[str, Any]]] = {}


def _late_code(
    problem: Problem, before: Converted, seed: int, python: Path | None, pairs: int | None
) -> Prediction:
    """Learn a code that came late from the comments that know it, its few-shot fit beside the former one.

    It has no way to leave a code of a comment out, so the other codes are read by a fit of before.
    """
    place = problem.place
    assert place is not None
    key = before.digest()
    if key not in _FORMER:
        _FORMER[key] = setfit(read_problem(before), 0, python, pairs)
    former = _FORMER[key]
    few = problem.train.rows(np.flatnonzero(problem.train.known[:, place]))
    others = [i for i in range(len(problem.labels.codes)) if i != place]
    few.present[:, others] = 0.0
    fit = _Fit(problem, few, seed, python, pairs)
    (probabilities,), _ = fit.read([problem.held.comments])
    # The package's own threshold: a few set apart of 125 could not set one.
    chosen = decide(probabilities, np.full(probabilities.shape[1:], 0.5))
    probabilities[:, others], chosen[:, others] = former.probabilities, former.chosen
    return Prediction(probabilities, chosen, fit.notes)


_FORMER: dict[str, Prediction] = {}


class _Fit:
    """SetFit on some comments of a problem.

    Attributes
    ----------
    notes
        The budget of pairs, and the versions once it has read.
    """

    def __init__(
        self, problem: Problem, fitting: Part, seed: int, python: Path | None, pairs: int | None
    ) -> None:
        self.problem, self.python = problem, python
        self.used = np.argwhere(fitting.present.any(axis=0))
        budget = pairs or min(PAIRS, PAIRS_A_TEXT * len(fitting.comments))
        self.task = {
            "encoder": str(resolve_encoder().folder),
            "texts": fitting.comments,
            "labels": _labels(fitting, self.used, problem.single),
            "pairs": budget,
            "seed": seed,
        }
        self.notes: dict[str, Any] = {"pairs": budget}

    def read(
        self, parts: list[list[str]], embed: Sequence[str] = ()
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
        """Fit, give the probabilities of the comments of each part, and the embeddings of some texts."""
        result = _run(self.task | {"read": parts, "embed": list(embed)}, self.python)
        self.notes["versions"] = result["versions"]
        spread = [
            _spread(self.problem, np.asarray(part, np.float64), self.used, result["classes"])
            for part in result["probabilities"]
        ]
        return spread, np.asarray(result["embeddings"], np.float32)


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
