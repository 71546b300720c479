"""A challenger beside the champion: it reads a share of the comments in the background, and is compared.

No answer waits for it. Comments wait in a short queue in memory until it has read them; a full one drops
what comes. What is kept are counts.

References
----------
Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological Measurement 20.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.tags import Tag, TaggedResponse
from serving import metrics
from serving.drift import PresentModel, kept
from serving.ingest import ResponseTagger

QUEUE = 512
"""Comments that may wait."""
_AT_ONCE = 32

log = logging.getLogger("whyscore.shadow")


@dataclass
class CodeAgreement:
    """How two models agree on one code.

    Attributes
    ----------
    both, only_champion, only_challenger
        Comments that both, or one alone, gave the code.
    other_polarity
        Those of `both` where the polarity differs.
    difference
        Sum over `both` of the challenger's probability less the champion's.
    """

    both: int = 0
    only_champion: int = 0
    only_challenger: int = 0
    other_polarity: int = 0
    difference: float = 0.0

    def to_dict(self, comments: int) -> dict[str, Any]:
        """Give counts, Cohen's kappa and the mean difference, of so many comments."""
        kappa = cohen_kappa(self.both, self.only_champion, self.only_challenger, comments)
        return {
            "both": self.both,
            "only_champion": self.only_champion,
            "only_challenger": self.only_challenger,
            "other_polarity": self.other_polarity,
            "kappa": None if kappa is None else round(kappa, 4),
            "mean_probability_difference": round(self.difference / self.both, 4) if self.both else None,
        }


def cohen_kappa(both: int, only_a: int, only_b: int, n: int) -> float | None:
    """Give Cohen's kappa of two yes-or-no judgements of n comments: ``(po - pe) / (1 - pe)``.

    Returns
    -------
    float or None
        1 for full agreement, 0 for that of chance; None where chance alone agrees fully.
    """
    if n == 0:
        return None
    observed = (n - only_a - only_b) / n
    a, b = (both + only_a) / n, (both + only_b) / n
    by_chance = a * b + (1 - a) * (1 - b)
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


@dataclass
class Comparison:
    """What came of comparing two models.

    Attributes
    ----------
    comments
        Those that both have read.
    same
        Of those: with the very same codes.
    dropped, failed
        Those that were left out, and those that the challenger failed on.
    codes
        By code how the two agree.
    """

    comments: int = 0
    same: int = 0
    dropped: int = 0
    failed: int = 0
    codes: defaultdict[str, CodeAgreement] = field(default_factory=lambda: defaultdict(CodeAgreement))

    def count(self, row: TaggedResponse, other: TaggedResponse) -> None:
        """Count what the champion and the challenger said of one comment."""
        mine, theirs = _by_code(row.tags), _by_code(other.tags)
        self.comments += 1
        self.same += mine.keys() == theirs.keys()
        for code in mine.keys() | theirs.keys():
            agreement = self.codes[code]
            if code not in theirs:
                agreement.only_champion += 1
            elif code not in mine:
                agreement.only_challenger += 1
            else:
                agreement.both += 1
                ours, others = mine[code], theirs[code]
                agreement.other_polarity += {tag.polarity for tag in ours} != {tag.polarity for tag in others}
                agreement.difference += _strongest(others) - _strongest(ours)


class Shadow:
    """Compares a challenger with the champion, off the request path.

    A champion that was replaced, and whose last jobs still run, is compared apart from the one that serves.

    Parameters
    ----------
    challenger
        Gives the challenger, None while there is none.
    share
        Of the comments that it reads, from 0 to 1.
    """

    def __init__(self, challenger: Callable[[], ResponseTagger | None], share: float) -> None:
        self._challenger, self._share = challenger, share
        self._dice = random.Random()
        self._waiting: queue.Queue[TaggedResponse | None] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._present = PresentModel()
        self._comparisons: OrderedDict[tuple[str, str], Comparison] = OrderedDict()

    def start(self) -> None:
        """Begin to read in a thread of its own."""
        self._thread = threading.Thread(target=self._work, name="whyscore-shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what still waits is forgotten."""
        if self._thread is None:
            return
        while self._thread.is_alive():
            try:
                self._waiting.put_nowait(None)
                break
            except queue.Full:
                self._take()
        self._thread.join()
        self._thread = None

    def offer(self, rows: Sequence[TaggedResponse]) -> None:
        """Take a share of what the champion said for comparison; never waits."""
        if self._share == 0 or self._thread is None or not rows:
            return
        with self._lock:
            self._present.saw(rows[0].model or "")
        challenger = self._challenger()
        if challenger is None:
            return
        for row in rows:
            if row.status not in ("tagged", "uncoded") or self._dice.random() >= self._share:
                continue
            try:
                self._waiting.put_nowait(row)
            except queue.Full:
                with self._lock:
                    self._of(row, challenger).dropped += 1
                metrics.saw_shadow("dropped")

    def report(self) -> dict[str, Any]:
        """Give how far the two models agree, as `serving.schemas_models.ShadowReply` describes it."""
        challenger = self._challenger()
        with self._lock:
            champion = self._present.name
            pair = None if challenger is None else (champion, challenger.name)
            found = None if pair is None else self._comparisons.get(pair)
            shown = Comparison() if found is None else found
            codes = sorted(shown.codes.items())
            return {
                "challenger": None if challenger is None else challenger.name,
                "champion": None if found is None else champion,
                "share": self._share,
                "comments": shown.comments,
                "same_codes": shown.same,
                "dropped": shown.dropped,
                "failed": shown.failed,
                "codes": {code: agreement.to_dict(shown.comments) for code, agreement in codes},
            }

    def _work(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Compare what waits; a call of its own, so that its comments are let go before the next wait."""
        rows = [self._waiting.get(), *self._take()]
        self._compare([row for row in rows if row is not None])
        return None not in rows

    def _take(self) -> list[TaggedResponse | None]:
        """Give what waits already, up to a batch."""
        found: list[TaggedResponse | None] = []
        while len(found) < _AT_ONCE - 1:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return found

    def _compare(self, rows: list[TaggedResponse]) -> None:
        challenger = self._challenger()
        if challenger is None or not rows:
            return
        try:
            others = challenger.tag([row.response for row in rows])
        except Exception as error:  # a challenger that fails is a finding, not a fault of the service
            others = []
            log.error("the challenger fails (%s)", type(error).__name__)
        with self._lock:
            for row, other in zip(rows, others, strict=False):
                self._of(row, challenger).count(row, other)
            for row in rows[len(others) :]:
                self._of(row, challenger).failed += 1
        metrics.saw_shadow("compared", len(others))
        metrics.saw_shadow("failed", len(rows) - len(others))

    def _of(self, row: TaggedResponse, challenger: ResponseTagger) -> Comparison:
        return kept(self._comparisons, (row.model or "", challenger.name), Comparison)


def _by_code(tags: Sequence[Tag]) -> dict[str, list[Tag]]:
    found: dict[str, list[Tag]] = {}
    for tag in tags:
        found.setdefault(tag.code, []).append(tag)
    return found


def _strongest(tags: Sequence[Tag]) -> float:
    return max(tag.probability for tag in tags)
