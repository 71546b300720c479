"""Tables of changes and trends, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.bridged_change import BridgedChange
from model.explained_change import ExplainedChange, Part
from model.metric import Metric, MetricChange
from model.mix_and_rate import MixAndRate
from model.trends import Trends
from whyscore.terminal import print_table, say

_NAMES = {"uncoded": "(comment without a code)", "no_comment": "(no comment)"}
_MOST = 15
_LEADING = 3


def show_change(found: ExplainedChange | BridgedChange, parts: Mapping[str, MixAndRate] | None) -> None:
    """Print a change: its causes, and mix and rate where they were asked for."""
    before, after = found.names
    heading = f"{found.before.name}: {_metric(found.before)} in {before}, {_metric(found.after)} in {after}"
    if isinstance(found, ExplainedChange):
        _show_explained(found, f"{heading}; {_tested(found.metric)}", parts)
        for row in found.rows:
            if row.sentence is not None:
                say(row.sentence)
    else:
        _show_bridged(found, f"{heading}; {_tested(found.metric)}")
    if parts is not None:
        _show_parts(parts["metric"], found.before.name)
    for note in (*found.notes, *(parts["metric"].notes if parts else ())):
        say(note)


def _show_explained(found: ExplainedChange, title: str, parts: Mapping[str, MixAndRate] | None) -> None:
    ranked = [row for row in found.rows if row.status == "eligible"]
    table = []
    for row in (*ranked[:_MOST], *found.buckets):
        split = None if parts is None else parts.get(row.code)
        table.append(
            [
                _NAMES.get(row.code, row.code),
                f"{row.before:.2f}",
                f"{row.after:.2f}",
                f"{row.change:+.2f}",
                _interval(row.low, row.high),
                "-" if row.q_value is None else f"{row.q_value:.3f}",
                "flagged" if row.flagged else "",
                *([] if split is None else [f"{split.mix.points:+.2f}", f"{split.rate.points:+.2f}"]),
            ]
        )
    columns = ["cause", "lost before", "lost after", "change", "95% interval", "q", ""]
    print_table(title, columns + ([] if parts is None else ["mix", "rate"]), table, {1, 2, 3, 4, 5, 7, 8})
    left = [row for row in found.rows if row not in ranked[:_MOST] and row.change]
    if left:
        say(f"  {len(left)} more causes, together {sum(row.change for row in left):+.2f} points")


def _show_bridged(found: BridgedChange, title: str) -> None:
    ranked = [row for row in found.rows if row.status == "eligible"]
    table = [
        [
            _NAMES.get(row.code, row.code),
            f"{row.change:+.2f}",
            _part(row.model_effect),
            _part(row.customer_change),
            "-" if row.q_value is None else f"{row.q_value:.3f}",
            "flagged" if row.flagged else "",
        ]
        for row in (*ranked[:_MOST], *found.buckets)
    ]
    say(f"Tagged by {found.versions[0]} and {found.versions[1]}; both tagged {sum(found.overlap)} people.")
    columns = ["cause", "change", "of the model", "of customers", "q", ""]
    print_table(title, columns, table, {1, 2, 3, 4})


def _show_parts(found: MixAndRate, metric: str) -> None:
    table = [
        [
            row.value or "(blank)",
            f"{row.share_before:.1%}",
            f"{row.share_after:.1%}",
            "-" if row.lost_before is None else f"{row.lost_before:.1f}",
            "-" if row.lost_after is None else f"{row.lost_after:.1f}",
            _part(row.mix),
            _part(row.rate),
        ]
        for row in sorted(found.values, key=lambda row: -abs(row.mix.points + row.rate.points))[:_MOST]
    ]
    title = (
        f"100 - {metric} {found.change:+.2f}: who answered (mix) {_part(found.mix)}, "
        f"how each answered (rate) {_part(found.rate)}"
    )
    columns = [found.segment, "share before", "share after", "lost before", "lost after", "mix", "rate"]
    print_table(title, columns, table, {1, 2, 3, 4, 5, 6})


def _leading(found: Trends) -> list[str]:
    """Give the codes with the most points over all periods."""
    codes = [code for code in found.causes if code not in _NAMES]
    lost = {
        code: sum((point.points_lost or 0.0) * found.periods[at].responses for at, point in enumerate(points))
        for code, points in found.causes.items()
    }
    return sorted(codes, key=lambda code: (-lost[code], code))[:_LEADING]


def show_trends(found: Trends, codes: Sequence[str]) -> None:
    """Print the periods, with the codes asked for or, where there are none, those that lose the most."""
    codes = codes or _leading(found)
    table = []
    for at, period in enumerate(found.periods):
        points = [found.causes[code][at] for code in codes]
        figures = [
            point.reason or f"{point.points_lost:.2f} {_interval(point.low, point.high)}" for point in points
        ]
        marked = f"{period.start}{' (partial)' if period.partial else ''}"
        table.append([marked, str(period.responses), _metric(period.metric), *figures])
    name = found.periods[0].metric.name
    columns = [found.by, "responses", name, *(_NAMES.get(code, code) for code in codes)]
    print_table(f"Points lost by {found.by}", columns, table, set(range(1, len(columns))))


def _metric(metric: Metric) -> str:
    if metric.value is None or metric.low is None or metric.high is None:
        return "-"
    sign = "+" if metric.name == "NPS" else ""  # the others run from 0 to 100
    return f"{metric.value:{sign}.1f} [{metric.low:{sign}.1f}, {metric.high:{sign}.1f}]"


def _tested(found: MetricChange) -> str:
    if found.value is None or found.p_value is None:
        return "no test"
    p_value = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    return f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}], {p_value}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def _part(part: Part) -> str:
    return f"{part.points:+.2f} {_interval(part.low, part.high)}"
