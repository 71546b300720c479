"""Drift of what comes in: the mix of scores and of codes lately, against the model's training.

The mix of codes is compared with what the model gave to held-out comments of its training, which its folder
holds. Scores are not part of a training, so they (and the codes of a model without that file) are compared
with the first `REFERENCE` responses that the model read here.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

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
QUIET_SECONDS = 60.0
"""A model that has not answered for so long no longer serves, if a former one does answer."""
KEPT = 4
"""Models that are counted apart: the champion, one that it followed, and some for quick changes."""
_FEW = 200
"""A training's mix of fewer comments is no reference."""

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


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


class PresentModel:
    """Tells which model serves, from the order in which models answer.

    A model that never answered before takes over at once: it was promoted. One that did takes over when the
    present one has been quiet for `QUIET_SECONDS`: it was rolled back to. Until then its answers are late
    ones, of a job that began before the promotion.
    """

    def __init__(self) -> None:
        self.name = ""
        self._known: set[str] = set()
        self._latest = 0.0

    def saw(self, name: str) -> bool:
        """Note that a model answered, and tell whether it took over."""
        now = time.monotonic()
        before = self.name
        if name not in self._known or now - self._latest > QUIET_SECONDS:
            self._known.add(name)
            self.name = name
        if name == self.name:
            self._latest = now
        return name != before and name == self.name


def kept(states: OrderedDict[Key, Kept], key: Key, begin: Callable[[], Kept]) -> Kept:
    """Give the state of a model, begun where there is none; of all states the `KEPT` latest used are kept."""
    if key not in states:
        states[key] = begin()
    states.move_to_end(key)
    while len(states) > KEPT:
        states.popitem(last=False)
    return states[key]


class ModelDrift:
    """Drift of the scores, and of the codes under the model that serves: others are counted apart.

    It may be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._present = PresentModel()
        self._unseen = 0
        self._scores = MixDrift()
        self._codes: OrderedDict[str, MixDrift] = OrderedDict()

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
            name = rows[0].model or ""
            codes = kept(self._codes, name, lambda: MixDrift(_reference(mix)))
            is_first = not self._present.name
            if self._present.saw(name) and not is_first:
                metrics.set_drift("code", *(codes.index() or (0.0, 0.0)))  # 0 until enough is seen of it
            for row in rows:
                if row.response.score is not None:
                    self._scores.saw([row.response.score])
                if row.status in ("tagged", "uncoded"):
                    codes.saw({tag.code for tag in row.tags} or {UNCODED})
            self._unseen += len(rows)
            if self._unseen < EVERY:
                return
            self._unseen = 0
            for of, drift in (("score", self._scores), ("code", self._codes.get(self._present.name))):
                found = None if drift is None else drift.index()
                if found is not None:
                    metrics.set_drift(of, *found)


def _reference(mix: CodeMix | None) -> dict[Hashable, float] | None:
    return None if mix is None or mix.comments < _FEW else {c: float(n) for c, n in mix.counts.items()}
