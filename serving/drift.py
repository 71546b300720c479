"""Drift of what comes in: the mix of scores and of codes lately, against the model's training.

The mix of codes is compared with what the model gave to held-out comments of its training, which its folder
holds. Scores are not part of a training, so they (and the codes of a model without that file) are compared
with the first `REFERENCE` responses that the model read here.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence

from data.tags import TaggedResponse
from model.code_mix import UNCODED, CodeMix
from model.drift import chance_bound, population_stability_index
from serving import metrics

REFERENCE = 1000
"""Responses that make a reference where the training gives none."""
BLOCK, BLOCKS = 250, 8
"""The latest responses are kept as so many counts of so many: no response itself is."""
ENOUGH = 500
"""Responses below which nothing is said: chance alone would move the index."""
EVERY = 50
"""Responses between two looks: a look at each would slow small requests down."""
_FEW = 200
"""A training's mix of fewer comments is no reference."""


class MixDrift:
    """How far the latest counts have moved from a reference.

    Parameters
    ----------
    reference
        Counts by category; None takes the first `REFERENCE` observations.
    """

    def __init__(self, reference: Mapping[Hashable, float] | None = None) -> None:
        self._reference: Counter[Hashable] | None = None if reference is None else Counter(reference)
        self._first: Counter[Hashable] = Counter()
        self._blocks: deque[Counter[Hashable]] = deque([Counter()], maxlen=BLOCKS)
        self._seen = self._in_block = 0

    def saw(self, categories: Iterable[Hashable]) -> None:
        """Count one observation, which may fall into several categories."""
        if self._reference is None:
            self._first.update(categories)
            self._seen += 1
            if self._seen == REFERENCE:
                self._reference, self._seen = self._first, 0
            return
        if self._in_block == BLOCK:
            self._blocks.append(Counter())
            self._in_block = 0
        self._blocks[-1].update(categories)
        self._in_block += 1
        self._seen += 1

    def index(self) -> tuple[float, float] | None:
        """Give the population stability index and its bound by chance; None where too little was seen."""
        if self._reference is None or self._seen < ENOUGH:
            return None
        lately: Counter[Hashable] = sum(self._blocks, Counter())
        index = population_stability_index(self._reference, lately)
        bound = chance_bound(self._reference, lately)
        return None if index is None or bound is None else (index, bound)


class ModelDrift:
    """Drift of the scores, and of the codes under one model: with another it starts anew.

    It may be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model = ""
        self._unseen = 0
        self._scores = MixDrift()
        self._codes = MixDrift()

    def saw(self, rows: Sequence[TaggedResponse], mix: CodeMix | None) -> None:
        """Count what a model said of some responses, and set the metrics.

        Parameters
        ----------
        rows
            All of one model, at its balanced operating point.
        mix
            The codes that it gave in training, where it tells.
        """
        if not rows:
            return
        with self._lock:
            if rows[0].model != self._model:
                self._begin(rows[0].model or "", mix)
            for row in rows:
                if row.response.score is not None:
                    self._scores.saw([row.response.score])
                if row.status in ("tagged", "uncoded"):
                    self._codes.saw({tag.code for tag in row.tags} or {UNCODED})
            self._unseen += len(rows)
            if self._unseen < EVERY:
                return
            self._unseen = 0
            for of, drift in (("score", self._scores), ("code", self._codes)):
                found = drift.index()
                if found is not None:
                    metrics.set_drift(of, *found)

    def _begin(self, model: str, mix: CodeMix | None) -> None:
        if self._model:
            metrics.set_drift("code", 0.0, 0.0)  # until enough is seen of this one
        self._model = model
        self._codes = MixDrift(_reference(mix))


def _reference(mix: CodeMix | None) -> dict[Hashable, float] | None:
    return None if mix is None or mix.comments < _FEW else {c: float(n) for c, n in mix.counts.items()}
