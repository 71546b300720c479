"""Counts of what intervals held, one replication after the other, with the Monte Carlo error of the share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Claim = Literal["covers", "all at once", "false share", "missed share", "shown"]

FLOORS: Mapping[Claim, float] = {
    "covers": 0.93,
    "all at once": 0.95,
    "false share": 0.10,
    "missed share": 0.07,
}
"""What a share must reach, or must not exceed (the last two). ``shown`` makes no claim."""


@dataclass
class Line:
    """One figure of one scenario.

    The share is a ratio of sums over replications: several causes are tried in each, and those of one
    replication go together, so the error is that of a ratio of means over replications.

    Attributes
    ----------
    claim
        What the share must do.
    replications
        In which the figure was tried at least once.
    hits, trials, squares
        Sums of hits h and trials t, and of h^2, h t and t^2.
    error, size
        Sum of the estimates less the truths, and of the absolute truths.
    """

    claim: Claim
    replications: int = 0
    hits: float = 0.0
    trials: float = 0.0
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    error: float = 0.0
    size: float = 0.0

    def add(self, hits: float, trials: float, error: float, size: float) -> None:
        """Add a replication."""
        self.replications += 1
        self.hits += hits
        self.trials += trials
        self.error += error
        self.size += size
        for place, product in enumerate((hits * hits, hits * trials, trials * trials)):
            self.squares[place] += product

    @property
    def share(self) -> float:
        """Hits over trials."""
        return self.hits / self.trials

    @property
    def share_error(self) -> float:
        """The Monte Carlo standard error of the share."""
        if self.replications < 2:
            return float("nan")
        own, crossed, whole = self.squares
        spread = own - 2 * self.share * crossed + self.share**2 * whole
        count = self.replications
        return float(max(0.0, spread * count / (count - 1)) ** 0.5 / self.trials)

    @property
    def bias(self) -> float:
        """Mean error in points."""
        return self.error / self.trials

    @property
    def typical(self) -> float:
        """Mean absolute truth in points."""
        return self.size / self.trials

    @property
    def short(self) -> bool:
        """Whether the claim fails.

        Intervals that claim 95% must cover 93%, as counted. Shares at the nominal level itself (simultaneous
        sets, false discoveries) would miss it half of the time by chance, so they may by two errors.
        """
        if self.claim == "shown":
            return False
        slack = 2.0 * self.share_error if self.claim in ("all at once", "false share") else 0.0
        floor = FLOORS[self.claim]
        return self.share - slack > floor if self.limits else self.share + slack < floor

    @property
    def limits(self) -> bool:
        """Whether the claim is that the share is no more."""
        return self.claim in ("false share", "missed share")


class Trials:
    """The trials of one replication, by figure."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, Claim], list[float]] = {}

    def interval(
        self,
        name: str,
        truth: float,
        value: float | None,
        low: float | None,
        high: float | None,
        claim: Claim = "covers",
    ) -> None:
        """Try an interval; one that is not there is no trial."""
        if value is None or low is None or high is None:
            return
        held = low - 1e-9 <= truth <= high + 1e-9
        self._add(name, claim, float(held), float(value) - truth, abs(truth))

    def all_at_once(self, name: str, held: Iterable[bool]) -> None:
        """Try several statements that must hold together."""
        told = list(held)
        if told:
            self._add(name, "all at once", float(all(told)), 0.0, 0.0)

    def share(self, name: str, value: float, claim: Claim) -> None:
        """Note a share, such as that of false findings among those flagged."""
        self._add(name, claim, value, 0.0, 0.0)

    def _add(self, name: str, claim: Claim, hit: float, error: float, size: float) -> None:
        sums = self.found.setdefault((name, claim), [0.0, 0.0, 0.0, 0.0])
        for place, value in enumerate((hit, 1.0, error, size)):
            sums[place] += value


class Tally:
    """All lines of a scenario."""

    def __init__(self, lines: Mapping[str, Mapping[str, object]] | None = None) -> None:
        self.lines = {name: Line(**values) for name, values in (lines or {}).items()}  # type: ignore[arg-type]

    def add(self, trials: Trials) -> None:
        """Add a replication."""
        for (name, claim), sums in trials.found.items():
            self.lines.setdefault(name, Line(claim)).add(*sums)

    def to_dict(self) -> dict[str, object]:
        """Give plain JSON values."""
        return {name: vars(line) for name, line in self.lines.items()}


ENOUGH = 10
"""Respondents from whom on an interval makes its claim."""


def band(expected: float) -> str:
    """Name the band of the respondents that are expected to mention a code.

    Bands are of expected numbers: the replications in which a code of 30 is mentioned by 15 are those in
    which chance took half of it away, and no interval holds in just those.
    """
    if expected < ENOUGH:
        return "under 10 expected"
    return "10-19 expected" if expected < 20 else "20-49 expected" if expected < 50 else "50 or more"


def false_share(false: int, flagged: int) -> float:
    """Give the share of false findings, or of missed intervals; 0 where none is flagged."""
    return false / max(1, flagged)


def true_places(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the best and the worst rank that each of some true values may have; ties share theirs."""
    greater = (values[None, :] > values[:, None] + 1e-12).sum(axis=1)
    smaller = (values[None, :] < values[:, None] - 1e-12).sum(axis=1)
    return greater + 1, values.size - smaller
