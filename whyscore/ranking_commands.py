"""``rank``: wiring from a tags file to a ranking on the terminal and in a file."""

from __future__ import annotations

from pathlib import Path

from data.errors import InputError
from data.scale import Scale
from data.tags import read_tags
from data.taxonomy import read_taxonomy
from model.mentions import ScoredResponses
from model.periods import with_periods
from model.ranking import Ranking, RootCause
from model.root_causes import rank_by_segment, rank_root_causes
from serving.report import ranking_document, write_report
from whyscore.terminal import print_json, print_table, progress_bar, say

_NAMES = {"uncoded": "(comment without a code)", "no_comment": "(no comment)"}


def run_ranking(
    tags: Path, by: str | None, scale: Scale, taxonomy: Path | None, output: Path | None, as_json: bool
) -> None:
    """Rank, print, and write the report where one is asked for."""
    known = read_taxonomy(taxonomy) if taxonomy is not None else None
    codes = None if known is None else known.active
    with progress_bar("Reading tags") as tell:
        scored = ScoredResponses.from_tagged(with_periods(read_tags(tags, scale=scale)), scale, file=tags)
        tell(1, 1, "")
    if not scored.n:
        raise InputError("no row has a score, so there is nothing to rank", file=tags, column="score")
    overall = rank_root_causes(scored, codes=codes)
    groups = rank_by_segment(scored, by, codes=codes) if by else {}
    if output is not None:
        labels = None if known is None else {code: known.label(code) for code in known.active}
        write_report(output, overall, groups, by=by, title=tags.name, tags=tags, labels=labels)
    if as_json:
        print_json(ranking_document(overall, groups, by))
        return
    show_ranking(overall, "All responses")
    for value, ranking in groups.items():
        show_ranking(ranking, f"{by} = {value or '(blank)'}")
    for note in overall.notes:
        say(note)
    if output is not None:
        say(f"Report -> {output}")


def show_ranking(ranking: Ranking, title: str, most: int = 15) -> None:
    """Print the metric and its causes, tiers first."""
    metric = ranking.metric
    if metric.value is None:
        say(f"{title}: no scored responses")
        return
    name = {"nps": "NPS", "csat5": "CSAT", "ces7": "CES"}[ranking.scale]
    interval = f"[{metric.low:+.1f}, {metric.high:+.1f}]"
    heading = f"{title}: {name} {metric.value:+.1f} {interval}, {ranking.n_scored} scored"
    shown = [row for row in ranking.rows if row.status == "eligible"][:most]
    rows = [_row(cause) for cause in shown] + [_row(bucket) for bucket in ranking.buckets]
    columns = ["tier", "rank", "cause", "points lost", "95% interval", "bracket", "mentions", "respondents"]
    print_table(heading, columns, rows, {0, 1, 3, 4, 5, 6, 7})
    folded = [row for row in ranking.rows if row.mentions and row not in shown]
    if folded:
        points = sum(row.points_lost or 0.0 for row in folded)
        say(f"  {len(folded)} more causes, most with few respondents, together {points:.2f} points")


def _row(cause: RootCause) -> list[str]:
    ranks = "" if cause.rank is None else f"{cause.rank_low}-{cause.rank_high}"
    return [
        "" if cause.tier is None else str(cause.tier),
        ranks,
        _NAMES.get(cause.code, cause.code),
        _points(cause.points_lost),
        f"[{_points(cause.low)}, {_points(cause.high)}]",
        f"{_points(cause.bracket_low)}-{_points(cause.bracket_high)}",
        str(cause.mentions),
        str(cause.respondents),
    ]


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
