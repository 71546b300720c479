"""``change``, ``trends`` and ``findings``: wiring from a tags file to what differs over time and groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import InputError
from whyscore.options import AsJson, ScaleName, Window, read_settings
from whyscore.terminal import print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from data.scale import Scale
    from model.bridged_change import BridgedChange
    from model.comparison import Comparison
    from model.explained_change import ExplainedChange
    from model.mentions import ScoredResponses
    from model.mix_and_rate import MixAndRate
    from model.provenance import Provenance

Tags = Annotated[Path, typer.Argument(help="A tags file, as `whyscore tag` writes it.")]


def change(
    tags: Tags,
    before: Annotated[
        str, typer.Option("--from", help="A period such as 2026-03, 2026-Q1 or 2026-03-02..2026-04-05.")
    ],
    after: Annotated[str, typer.Option("--to", help="The period to compare with it.")],
    segment: Annotated[
        str | None,
        typer.Option("--segment", help="Compare two values of this segment (--from, --to), not two periods."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Tell mix from rate over the values of this segment.")
    ] = None,
    overlap: Annotated[
        Path | None,
        typer.Option("--overlap", help="Tags of the same responses by the other model, where two tagged."),
    ] = None,
    scale: ScaleName = None,
    as_json: AsJson = False,
) -> None:
    """Take the change of the metric between two periods or groups apart into its causes."""
    from data.scale import scale_named
    from model.bridge import bridge_change, check_one_version
    from model.metric_change import explain_change
    from whyscore.change_tables import show_change

    known = scale_named(scale or read_settings().scale)
    responses, provenance = _read(tags, known)
    comparison = _comparison(responses, provenance, (before, after), segment)
    if overlap is None:
        check_one_version(comparison, provenance)
        found: ExplainedChange | BridgedChange = explain_change(comparison)
    else:
        found = bridge_change(comparison, provenance, *_read(overlap, known))
    parts = None if by is None else _parts(comparison, by, found)
    if as_json:
        more = {} if parts is None else {"mix_and_rate": {name: one.to_dict() for name, one in parts.items()}}
        print_json(found.to_dict() | more)
        return
    show_change(found, parts)


def _read(path: Path, scale: Scale, window: str | None = None) -> tuple[ScoredResponses, Provenance]:
    from data.tags import read_tags
    from model.periods import parse_span, with_periods
    from model.provenance import read_scored
    from model.window import answered_within

    span = None if window is None else parse_span(window)
    with progress_bar(f"Reading {path.name}") as tell:
        rows = answered_within(read_tags(path, scale=scale), span)
        found = read_scored(with_periods(rows), scale, file=path)
        tell(1, 1, "")
    return found


def _comparison(
    responses: ScoredResponses, provenance: Provenance, names: tuple[str, str], segment: str | None
) -> Comparison:
    """Set two periods, or two values of a segment, side by side."""
    from model.comparison import Comparison
    from model.periods import parse_span

    if segment is None:
        first, second = (provenance.within(parse_span(name)) for name in names)
        if provenance.days() is None:
            raise InputError("the responses have no 'responded_at', so there are no periods to compare")
        return Comparison.of(responses, first, second, names)
    if segment not in responses.segments:
        known = ", ".join(f"'{name}'" for name in responses.segments) or "none"
        raise InputError(f"there is no segment '{segment}'; the segments are: {known}")
    values = responses.segments[segment]
    for name in names:
        if not (values == name).any():
            held = sorted(set(values))
            some = ", ".join(f"'{value}'" for value in held[:20]) + (", ..." if len(held) > 20 else "")
            raise InputError(f"no scored response has '{segment}' '{name}'; its values are: {some}")
    return Comparison.of(responses, values == names[0], values == names[1], names, segment=segment)


def _parts(comparison: Comparison, by: str, found: ExplainedChange | BridgedChange) -> dict[str, MixAndRate]:
    """Split the metric's change, and under one model that of each ranked cause, into mix and rate."""
    from model.explained_change import ExplainedChange
    from model.mix_and_rate import mix_and_rate, mix_and_rate_of_causes

    parts = {"metric": mix_and_rate(comparison, by)}
    if isinstance(found, ExplainedChange):
        ranked = [row.code for row in (*found.rows, *found.buckets) if row.status in ("eligible", "bucket")]
        parts |= mix_and_rate_of_causes(comparison, by, ranked)
    return parts


def trends(
    tags: Tags,
    by: Annotated[str, typer.Option("--by", help="day, week or month.")] = "week",
    code: Annotated[
        list[str] | None, typer.Option("--code", help="A code, a parent or a bucket; again for more.")
    ] = None,
    window: Window = None,
    scale: ScaleName = None,
    as_json: AsJson = False,
) -> None:
    """Follow points lost to causes by day, week or month, with an interval for each."""
    from data.scale import scale_named
    from model.periods import UNITS, parse_span
    from model.trends import find_trends
    from whyscore.change_tables import show_trends

    unit = next((unit for unit in UNITS if unit == by), None)
    if unit is None:
        raise InputError(f"--by is one of {', '.join(UNITS)}")
    span = None if window is None else parse_span(window)
    responses, provenance = _read(tags, scale_named(scale or read_settings().scale))
    found = find_trends(responses, provenance, unit, codes=code or (), span=span)
    if as_json:
        print_json(found.to_dict())
        return
    show_trends(found, code or ())
    for note in found.notes:
        say(note)


def findings(tags: Tags, window: Window = None, scale: ScaleName = None, as_json: AsJson = False) -> None:
    """Find hotspots, spikes, steps and trends beyond chance."""
    from data.scale import scale_named
    from model.findings import find_all

    responses, provenance = _read(tags, scale_named(scale or read_settings().scale), window)
    found = find_all(responses, versions=provenance.names())
    if as_json:
        print_json(found.to_dict())
        return
    rows = [["hotspot", spot.sentence, f"{spot.q_value:.3f}"] for spot in found.hotspots]
    rows += [[change.shape, change.sentence, f"{change.q_value:.3f}"] for change in found.changes]
    if not rows:
        say("Nothing stands out beyond chance.")
    rows += [["doubtful", one.sentence, f"{one.q_value:.3f}"] for one in found.doubtful]
    if rows:
        print_table("What stands out beyond chance", ["", "finding", "q"], rows, {2})
    for note in found.notes:
        say(note)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (change, trends, findings):
        app.command()(command)
