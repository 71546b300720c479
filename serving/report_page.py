"""The HTML report: one file without a network, drawn from a ranking and the comments behind it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data.scale import Scale, scale_named
from data.tags import Evidence, TaggedResponse, read_tags
from data.taxonomy import ReasonCode, parent_of
from model.periods import MONTH, WEEK
from model.ranking import Ranking, RootCause
from serving.charts import Axis, interval, many, points, round_axis, share, signed

COMMENTS = 5
"""Comments shown behind each cause."""

MOST_CAUSES, MOST_VALUES = 12, 26
"""Causes that are drawn by segment, and values of the segment that are drawn."""

_BUCKETS = {"uncoded": "No reason code", "no_comment": "No comment"}
_WEB = Path(__file__).parent / "web"


@dataclass(frozen=True, order=True, slots=True)
class _Quote:
    """A comment behind a cause; those that lost the most points to it, then the likeliest, come first."""

    lost: float
    probability: float
    place: int  # minus its row, so that the earlier one is the greater
    response: TaggedResponse = field(compare=False)
    evidence: tuple[Evidence, ...] = field(compare=False)


@dataclass(slots=True)
class _Comments:
    """The best quotes of each code and the dates of all responses, found in one pass."""

    scale: Scale
    first: datetime | None = None
    last: datetime | None = None
    quotes: dict[str, list[_Quote]] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)

    def read(self, rows: Iterable[TaggedResponse]) -> None:
        """Go through the tagged responses; a later row replaces an earlier one of its id."""
        for number, row in enumerate(rows):
            moment, key = row.response.responded_at, row.response.response_id
            if moment is not None:
                self.first = moment if self.first is None else min(self.first, moment)
                self.last = moment if self.last is None else max(self.last, moment)
            if key in self.held:
                self._drop(key)
            self._offer(row, number)

    def _drop(self, key: str) -> None:
        for code, kept in self.quotes.items():
            self.quotes[code] = [quote for quote in kept if quote.response.response.response_id != key]
            heapq.heapify(self.quotes[code])
        del self.held[key]

    def _offer(self, row: TaggedResponse, number: int) -> None:
        response = row.response
        if response.score is None or not response.comment or row.status == "error" or response.weight <= 0:
            return
        loss = float(self.scale.loss([response.score])[0])
        causes = sorted({tag.code for tag in row.tags if tag.polarity != "positive"})
        if not loss:
            return
        for code in causes or ["uncoded"]:
            tags = [tag for tag in row.tags if tag.code == code and tag.polarity != "positive"]
            likely = max((tag.probability for tag in tags), default=0.0)
            evidence = tuple(part for tag in tags for part in tag.evidence)
            self._hold(code, _Quote(loss / max(1, len(causes)), likely, -number, row, evidence))

    def _hold(self, code: str, quote: _Quote) -> None:
        kept = self.quotes.setdefault(code, [])
        self.held[quote.response.response.response_id] += 1
        if len(kept) < COMMENTS:
            heapq.heappush(kept, quote)
            return
        gone = heapq.heappushpop(kept, quote).response.response.response_id
        self.held[gone] -= 1
        if not self.held[gone]:
            del self.held[gone]

    def of(self, code: str) -> list[_Quote]:
        """Give the quotes of a code, best first."""
        return sorted(self.quotes.get(code, []), reverse=True)


def render_page(
    overall: Ranking,
    groups: Mapping[str, Ranking],
    *,
    by: str | None,
    title: str,
    tags: Path | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Give the report as HTML; the parameters are those of `serving.report.write_report`.

    Raises
    ------
    InputError
        If the tags file cannot be understood.
    """
    scale = scale_named(overall.scale)
    comments = _Comments(scale)
    if tags is not None:
        comments.read(read_tags(tags, scale=scale))
    environment = Environment(
        loader=FileSystemLoader(_WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "signed": signed, "share": share, "day": _day}
    environment.globals |= {"interval": interval, "many": many, "marked": marked, "axis_of": round_axis}
    names = dict(labels or {}) | _BUCKETS

    def label(code: str | None) -> str | None:
        return code and (names.get(code) or ReasonCode(id=code).name)

    return environment.get_template("report.html").render(
        title=title,
        overall=overall,
        metric=overall.metric,
        scale=scale,
        metric_axis=_metric_axis(scale),
        score=signed if scale.worst_loss == 2 else points,
        ledger=_ledger(overall),
        tiers=_tiers(overall),
        folded=[row for row in overall.rows if row.status == "insufficient"],
        rare=[row for row in overall.rows if row.status == "suppressed" and row.mentions],
        unseen=[row for row in overall.rows if not row.mentions],
        buckets=overall.buckets,
        comments=comments,
        by=by,
        values=_values(groups, by),
        value_axis=_value_axis(groups),
        left_out=max(0, len(groups) - MOST_VALUES),
        by_cause=_by_cause(overall, _values(groups, by)),
        label=label,
        parent=lambda code: label(parent_of(code)),
        **_axes(overall),
    )


def marked(comment: str, evidence: Sequence[Evidence]) -> list[tuple[str, bool]]:
    """Cut a comment into parts, each with whether it is evidence; joined they are the comment.

    Parameters
    ----------
    comment
        The verbatim.
    evidence
        Its offsets; they may overlap or lie outside, where they are cut to fit.
    """
    parts: list[tuple[str, bool]] = []
    done = 0
    for start, end in sorted((max(0, part.start), min(len(comment), part.end)) for part in evidence):
        start = max(start, done)
        if start < end:
            parts += [(comment[done:start], False), (comment[start:end], True)]
            done = end
    return [part for part in [*parts, (comment[done:], False)] if part[0]]


def _metric_axis(scale: Scale) -> Axis:
    low = -100.0 if scale.worst_loss == 2 else 0.0
    return Axis(low, 100.0, tuple(low + place * (100.0 - low) / 4 for place in range(5)))


def _ledger(ranking: Ranking) -> dict[str, float] | None:
    """Give what separates the metric from 100, to the tenth, so that what is shown adds up."""
    if ranking.metric.value is None:
        return None
    uncoded, silent = (round(row.points_lost or 0.0, 1) for row in ranking.buckets)
    total = round(100 - round(ranking.metric.value, 1), 1)
    causes = round(total - uncoded - silent, 1)  # the sum of many takes up what rounding leaves
    return {"causes": causes, "uncoded": uncoded, "no_comment": silent, "total": total}


def _tiers(ranking: Ranking) -> list[tuple[int, list[RootCause]]]:
    found: dict[int, list[RootCause]] = {}
    for row in ranking.rows:
        if row.tier is not None:
            found.setdefault(row.tier, []).append(row)
    return list(found.items())


def _axes(ranking: Ranking) -> dict[str, Axis]:
    """Give one axis for causes and buckets, or two where buckets would make the causes' bars vanish."""
    causes = _reach(row for row in ranking.rows if row.status in ("eligible", "insufficient"))
    buckets = _reach(ranking.buckets)
    axis = round_axis(max(causes, buckets) if buckets <= 1.5 * causes else causes)
    return {"axis": axis, "bucket_axis": axis if buckets <= axis.high else round_axis(buckets)}


def _reach(rows: Iterable[RootCause]) -> float:
    return max((max(row.bracket_high or 0.0, row.high or 0.0) for row in rows), default=0.0)


def _values(groups: Mapping[str, Ranking], by: str | None) -> list[tuple[str, Ranking]]:
    """Give the groups to draw: the latest periods in order, else the values with the most responses."""
    found = [(value, ranking) for value, ranking in groups.items() if ranking.metric.n]
    if by in (MONTH, WEEK):
        return sorted(found)[-MOST_VALUES:]
    return sorted(found, key=lambda pair: (-pair[1].metric.n, pair[0]))[:MOST_VALUES]


def _value_axis(groups: Mapping[str, Ranking]) -> Axis:
    ends = [end for g in groups.values() for end in (g.metric.low, g.metric.high) if end is not None]
    return round_axis(max(ends, default=0.0), min(ends, default=0.0))


def _by_cause(overall: Ranking, values: Sequence[tuple[str, Ranking]]) -> list[dict[str, Any]]:
    """Give the first causes with their figures in each group, and an axis that holds them."""
    if not values:
        return []
    drawn = []
    for cause in [row for row in overall.rows if row.tier is not None][:MOST_CAUSES]:
        found = [
            (value, ranking.metric.n, row)
            for value, ranking in values
            for row in ranking.rows
            if row.code == cause.code
        ]
        most = max([cause.points_lost or 0.0, *(row.high or 0.0 for *_, row in found)])
        drawn.append({"cause": cause, "rows": found, "axis": round_axis(most)})
    return drawn


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"
