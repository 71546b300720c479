"""The HTML report: one file without a network, drawn from a ranking and the comments behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data.scale import Scale
from model.periods import MONTH, WEEK
from model.ranking import Ranking, RootCause
from model.segment_cells import SegmentCell
from serving.charts import Axis, interval, many, points, round_axis, share, signed
from serving.quotes import Quotes, marked
from serving.report_content import Report

MOST_CAUSES, MOST_VALUES = 12, 26
"""Causes that are drawn by segment, and values of the segment that are drawn."""

MOST_FINDINGS = 20
"""Sentences on what stands out."""

_WEB = Path(__file__).parent / "web"


def render_page(report: Report) -> str:
    """Give the report as HTML."""
    overall, scale = report.overall, report.scale
    environment = Environment(
        loader=FileSystemLoader(_WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "signed": signed, "share": share, "day": _day}
    environment.globals |= {"interval": interval, "many": many, "marked": marked, "axis_of": round_axis}
    values = _values(report.groups, report.by)
    return environment.get_template("report.html").render(
        report=report,
        title=report.title,
        overall=overall,
        metric=overall.metric,
        scale=scale,
        level=report.level,
        metric_axis=_metric_axis(scale),
        score=report.score,
        ledger=_ledger(overall),
        tiers=_tiers(overall),
        folded=[row for row in overall.rows if row.status == "insufficient"],
        rare=[row for row in overall.rows if row.status == "suppressed" and _found(row)],
        unseen=[row for row in overall.rows if not _found(row)],
        buckets=overall.buckets,
        comments=report.quotes or Quotes(scale),
        by=report.by,
        values=values,
        value_axis=_value_axis(report.groups),
        left_out=max(0, len(report.groups) - MOST_VALUES),
        by_cause=_by_cause(overall, values),
        label=report.label,
        parent=report.parent,
        stands_out=_stands_out(report),
        doubted=report.doubted()[:MOST_FINDINGS],
        refused=None if report.findings is None else report.findings.refused,
        alone=report.model_alone,
        cell=_cell_of(report),
        drawn=_drawn(report),
        **_axes(overall),
    )


def _found(row: RootCause) -> bool:
    """Tell whether the model or people found a cause in any comment."""
    return bool(row.mentions or row.correction.audited_positives)


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
    least = min(
        (row.low for row in ranking.rows if row.tier is not None and row.low is not None), default=0.0
    )
    axis = round_axis(max(causes, buckets) if buckets <= 1.5 * causes else causes, least)
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


def _cell_of(report: Report) -> Callable[[str, str], SegmentCell | None]:
    """Give what finds the shrunken figures of a cause in a value of the segment."""
    cells = report.cells
    return (lambda code, value: None) if cells is None else cells.of


def _stands_out(report: Report) -> list[str]:
    """Give the findings, the largest first of each kind, as sentences."""
    if report.findings is None:
        return []
    codes = [spot.code for spot in report.findings.hotspots]
    codes += [change.code for change in report.findings.changes]
    return [sentence for code in dict.fromkeys(codes) for sentence in report.said_of(code)][:MOST_FINDINGS]


def _drawn(report: Report) -> list[dict[str, Any]]:
    """Give what is drawn over time: the metric, then the first causes that vary or are ranked at all."""
    if report.trend is None:
        return []
    names = [period_name(value) for value in report.trend.rankings]
    metrics = [ranking.metric for ranking in report.trend.rankings.values()]
    whole = [(metric.value, metric.low, metric.high, metric.n) for metric in metrics]
    drawn = [_line(report.scale.metric, names, whole, report.overall.metric.value, report.score, [])]
    for cause in report.ranked()[:MOST_CAUSES]:
        rows = dict(report.trend.of_cause(cause.code))
        parts = [_drawn_figures(rows.get(value)) for value in report.trend.rankings]
        said = report.changes_of(cause.code)
        drawn.append(_line(report.label(cause.code), names, parts, cause.points_lost, points, said))
    return drawn


def _drawn_figures(row: RootCause | None) -> tuple[float | None, float | None, float | None, int]:
    """Give what is drawn of a cause in a period; nothing where the period has no figure."""
    return (None, None, None, 0) if row is None else (row.points_lost, row.low, row.high, row.mentions)


def _line(
    label: str,
    names: Sequence[str],
    parts: Sequence[tuple[float | None, float | None, float | None, int]],
    whole: float | None,
    write: Callable[[float | None], str],
    said: Sequence[str],
) -> dict[str, Any]:
    """Give a series of (value, low, high, count), its axis, and where its points stand from left to right."""
    known = [end for part in parts for end in part[:3] if end is not None]
    step = 100.0 / max(1, len(parts))
    return {
        "label": label,
        "axis": round_axis(max(known, default=0.0), min(known, default=0.0)),
        "points": [
            {
                "name": name,
                "x": step * (place + 0.5),
                "value": value,
                "low": low,
                "high": high,
                "count": count,
            }
            for place, (name, (value, low, high, count)) in enumerate(zip(names, parts, strict=True))
        ],
        "whole": whole,
        "write": write,
        "said": said,
    }


def period_name(value: str) -> str:
    """Give a period as people write it: ``2026-04`` as Apr 2026, ``2026-04-06`` as 6 Apr 2026."""
    day = date.fromisoformat(value if len(value) > 7 else f"{value}-01")
    return _day(day) if len(value) > 7 else f"{day:%b %Y}"


def _day(moment: date) -> str:
    return f"{moment.day} {moment:%b %Y}"
