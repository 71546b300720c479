"""A change of the metric as the sum of the changes of its causes.

Between two groups the change of ``100 - metric`` is exactly the sum of the changes of the points lost to
every code, to ``uncoded`` and to ``no_comment``. It says which causes the change goes with, not what brought
it about; and it holds for tags of one model and one taxonomy version (`model.bridge`).

References
----------
Rocks, B. (2016). Interval estimation for the "Net Promoter Score". The American Statistician 70(4).
Zou, G. & Donner, A. (2008). Construction of confidence limits about effect measures: a general
approach. Statistics in Medicine 27(10).
Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.comparison import Comparison, GroupMeans
from model.contrasts import Design, Partition, difference_interval, two_sided_p
from model.contributions import ELIGIBLE, SHOWN, Contributions
from model.explained_change import CauseChange, ExplainedChange
from model.false_discovery import q_values
from model.group_sums import counts_by
from model.hierarchy import Hierarchy
from model.loss_shares import BUCKETS, LossShares, column_names
from model.mentions import ScoredResponses
from model.points_lost import mean_interval
from model.ranking import Status

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def explain_change(
    comparison: Comparison, *, codes: Sequence[str] = (), q: float = 0.10, level: float = 0.95
) -> ExplainedChange:
    """Take the change of the metric between two groups apart into its causes.

    The interval of a cause's change is put together from the score intervals of its two means (Zou & Donner
    2008), people who answered in both groups allowed for. The test is that of `model.contrasts`, which is
    close to the permutation test even at a handful of mentions. Causes with ten respondents or more in the
    two groups together are tested, and flagged under Benjamini & Hochberg (1995). The metric's own change
    is tested as Rocks (2016) does.

    Parameters
    ----------
    comparison
        The two groups, tagged by one model.
    codes
        Codes to list even where nobody mentions them, such as a taxonomy's.
    q
        The false discovery rate, between 0 and 1.
    level
        The confidence level of every interval, between 0 and 1.
    """
    hierarchy = Hierarchy.of([*comparison.responses.codes, *codes])
    counts = MentionCounts.of(comparison, hierarchy)
    means = comparison.means(comparison.contributions(hierarchy))
    p_values = _p_values(comparison, hierarchy, counts, means)
    rows = [
        _flagged(row, comparison, q) for row in _rows(comparison, hierarchy, counts, means, p_values, level)
    ]
    leaves, parents = len(hierarchy.codes), len(hierarchy.codes) + len(BUCKETS)
    metric = comparison.metric_change(level)
    return ExplainedChange(
        scale=comparison.responses.scale.name,
        names=comparison.names,
        segment=comparison.segment,
        level=level,
        q=q,
        before=comparison.metric(0, level),
        after=comparison.metric(1, level),
        metric=metric,
        rows=tuple(sorted(rows[:leaves], key=_order)),
        buckets=tuple(rows[leaves:parents]),
        parents=tuple(sorted(rows[parents:], key=_order)),
        shared_respondents=comparison.shared,
        total_check=math.fsum([*(row.change for row in rows[:parents]), metric.value or 0.0]),
        notes=tuple(_notes(comparison, p_values, q)),
    )


@dataclass(frozen=True, eq=False)
class MentionCounts:
    """Mentions of each column of a hierarchy, and the distinct people behind them.

    `mentions` and `respondents` have shape (2, k), by group; `people` (k,), of both groups together.
    """

    mentions: Ints
    respondents: Ints
    people: Ints

    @classmethod
    def of(cls, comparison: Comparison, hierarchy: Hierarchy) -> MentionCounts:
        """Count the mentions in a comparison."""
        k, responses = len(column_names(hierarchy)), comparison.responses
        shares = LossShares.of_responses(responses, hierarchy)
        place = np.full(responses.n, -1, dtype=np.int64)
        place[comparison.kept] = np.arange(comparison.kept.size)
        held = place[shares.rows] >= 0
        row, column = place[shares.rows[held]], shares.columns[held]
        cell = comparison.side[row] * k + column
        people = int(comparison.person.max()) + 1
        pairs = np.unique(cell * people + comparison.person[row])
        either = np.unique((pairs // people % k) * people + pairs % people)
        return cls(
            counts_by(cell, 2 * k).reshape(2, k),
            counts_by(pairs // people, 2 * k).reshape(2, k),
            counts_by(either // people, k),
        )

    def status(self, hierarchy: Hierarchy, column: int) -> Status:
        """Give a column's status, as a ranking of both groups together would."""
        if 0 <= column - len(hierarchy.codes) < len(BUCKETS):
            return "bucket"
        if self.people[column] >= ELIGIBLE:
            return "eligible"
        return "insufficient" if self.people[column] >= SHOWN else "suppressed"


def _p_values(
    comparison: Comparison, hierarchy: Hierarchy, counts: MentionCounts, means: GroupMeans
) -> list[float | None]:
    """Test each code and bucket for a change; None for parents, and where too few are behind it."""
    responses = _with_buckets(comparison.responses)
    among = np.zeros(responses.n, dtype=np.bool_)
    among[comparison.kept] = True
    contributions = Contributions.of(responses, among)
    partition = Partition.of(comparison.names, comparison.side, contributions.weight, contributions.person)
    score = Design.of(np.array([[0.0, 1.0]]), partition).scores(contributions, partition)[:, 0]
    found = dict(zip(contributions.codes, two_sided_p(score).tolist(), strict=True))
    tested = len(hierarchy.codes) + len(BUCKETS)
    known = np.isfinite(means.errors.sum(axis=0))
    return [
        found.get(name) if column < tested and known[column] and counts.people[column] >= ELIGIBLE else None
        for column, name in enumerate(column_names(hierarchy))
    ]


def _with_buckets(responses: ScoredResponses) -> ScoredResponses:
    """Give the responses with a code of its own for each bucket, mentioned where no other code is."""
    silent = np.flatnonzero(counts_by(responses.mention_rows, responses.n) == 0)
    bucket = len(responses.codes) + np.where(responses.commented[silent], 0, 1)
    rows = np.concatenate([responses.mention_rows, silent])
    codes = np.concatenate([responses.mention_codes, bucket])
    return responses.with_mentions((*responses.codes, *BUCKETS), rows, codes)


def _rows(
    comparison: Comparison,
    hierarchy: Hierarchy,
    counts: MentionCounts,
    means: GroupMeans,
    p_values: Sequence[float | None],
    level: float,
) -> list[CauseChange]:
    """Give every column as a row, none flagged yet."""
    low, high = _intervals(comparison, means, level)
    variance = (means.errors**2).sum(axis=0) - 2.0 * means.shared
    errors = np.sqrt(np.maximum(0.0, variance))
    tested = [column for column, p_value in enumerate(p_values) if p_value is not None]
    rates = dict(zip(tested, q_values([p_values[column] or 0.0 for column in tested]).tolist(), strict=True))
    change = means.means[1] - means.means[0]
    return [
        CauseChange(
            code=name,
            status=counts.status(hierarchy, column),
            before=float(means.means[0, column]),
            after=float(means.means[1, column]),
            change=float(change[column]),
            low=known_or_none(low[column]),
            high=known_or_none(high[column]),
            se=known_or_none(errors[column]),
            p_value=p_values[column],
            q_value=rates.get(column),
            flagged=False,
            mentions_before=int(counts.mentions[0, column]),
            mentions_after=int(counts.mentions[1, column]),
            respondents_before=int(counts.respondents[0, column]),
            respondents_after=int(counts.respondents[1, column]),
            sentence=None,
        )
        for column, name in enumerate(column_names(hierarchy))
    ]


def _intervals(comparison: Comparison, means: GroupMeans, level: float) -> tuple[Floats, Floats]:
    """Give the intervals of the changes, shape (k,) each."""
    parts = []
    for side in (1, 0):
        bounds = mean_interval(
            means.means[side],
            means.errors[side],
            respondents=int(comparison.people[side]),
            effective_n=float(means.effective[side]),
            worst=100.0 * comparison.responses.scale.worst_loss,
            level=level,
        )
        parts.append((means.means[side], *bounds))
    product = means.errors.prod(axis=0)
    likeness = np.divide(means.shared, product, out=np.zeros_like(product), where=product > 0)
    return difference_interval(parts[0], parts[1], likeness)


def _flagged(row: CauseChange, comparison: Comparison, q: float) -> CauseChange:
    """Flag a row that passes, and say it in words."""
    if row.q_value is None or row.q_value > q or row.low is None or row.high is None:
        return row
    worse = row.change > 0
    low, high = (row.low, row.high) if worse else (-row.high, -row.low)
    size = f"{abs(row.change):.1f} points [{low:.1f}, {high:.1f}]"
    before, after = comparison.names
    if comparison.segment is None:
        sentence = f"{row.code} {'up' if worse else 'down'} {size} from {before} to {after}"
    else:
        where = f"{comparison.segment} {after} than in {before}"
        sentence = f"{row.code} {size} {'more' if worse else 'less'} in {where}"
    return replace(row, flagged=True, sentence=sentence)


def _order(row: CauseChange) -> tuple[int, float, str]:
    group = ("eligible", "insufficient", "suppressed", "bucket").index(row.status)
    return group, -round(abs(row.change), 9), row.code


def known_or_none(value: float) -> float | None:
    """Give None for NaN, and a plain float otherwise."""
    return None if math.isnan(value) else float(value)


def _notes(comparison: Comparison, p_values: Sequence[float | None], q: float) -> list[str]:
    tested = sum(p_value is not None for p_value in p_values)
    notes = [
        "Points lost are associated with a cause: nothing here says what brought a change about.",
        "The changes of all causes, with both buckets, sum to the change of 100 less the metric.",
        "Points are by the model's codes, not corrected for its errors: those that are alike in both groups "
        "shrink or stretch a change.",
    ]
    if tested:
        notes.append(
            f"{tested} causes were tested; of those flagged, about {q:.0%} are expected to be chance, and as "
            "the largest of many their sizes tend to be overstated."
        )
    if comparison.shared:
        notes.append(
            f"{comparison.shared:,} people answered in both groups; intervals and tests allow for it."
        )
    return notes
