"""``rank``: wiring from a tags file to a ranking on the terminal and in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.industry_benchmarks import IndustryBenchmark
from data.scale import Scale
from data.scratch_database import DatabaseLimits
from data.taxonomy import read_taxonomy
from model.adjusted_effect import AdjustedEffects, adjusted_effects
from model.audit_check import AuditCheck
from model.benchmark_test import BenchmarkReport, compare_all
from model.findings import Findings, find_all
from model.periods import Span
from model.ranking import Ranking, RootCause
from model.tags_ranking import RankedTags, RankingSettings, rank_tags
from serving.report import SHOWS_MORE, check_output, ranking_document, write_report
from serving.report_content import said_by_model_alone
from serving.trend import Trend
from whyscore.reproduction_commands import ManifestRequest
from whyscore.terminal import print_json, print_table, progress_bar, say

_NAMES = {"uncoded": "(comment without a code)", "no_comment": "(no comment)"}


def run_ranking(
    tags: Path,
    by: str | None,
    scale: Scale,
    taxonomy: Path | None,
    output: Path | None,
    as_json: bool,
    with_adjusted: bool = False,
    *,
    check: AuditCheck | None = None,
    span: Span | None = None,
    benchmarks: Sequence[IndustryBenchmark] = (),
    limits: DatabaseLimits | None = None,
    lineage: ManifestRequest | None = None,
) -> None:
    """Rank, print, and write the report and the manifest where they are asked for."""
    if output is not None:
        check_output(output, tags)
    known = read_taxonomy(taxonomy) if taxonomy is not None else None
    codes = None if known is None else known.active
    more = output is not None and output.suffix.lower() in SHOWS_MORE
    with progress_bar("Reading tags") as tell:
        asked = RankingSettings(scale, by, span, codes)
        wanted = None if lineage is None else lineage.wanted
        ranked = rank_tags(
            tags, asked, check=check, rows_needed=with_adjusted or more, wanted=wanted, limits=limits
        )
        tell(1, 1, "")
    scored, overall, groups = ranked.scored, ranked.overall, ranked.groups
    adjusted = adjusted_effects(scored, overall) if with_adjusted and scored is not None else None
    metrics = {value: ranking.metric for value, ranking in groups.items()}
    beside = compare_all(overall.metric, metrics, by, benchmarks) if benchmarks else None
    manifest = None if lineage is None else lineage.manifest_of(tags, output, ranked, asked)
    if output is not None:
        write_report(
            output,
            overall,
            groups,
            by=by,
            title=tags.name,
            tags=tags,
            span=span,
            labels=None if known is None else {code: known.label(code) for code in known.active},
            trend=Trend.of(scored, codes, ranked.provenance) if more and scored is not None else None,
            findings=_findings(ranked) if more else None,
            adjusted=adjusted,
            benchmarks=beside,
            cells=ranked.cells,
            manifest=manifest,
        )
    if as_json:
        print_json(ranking_document(overall, groups, by, adjusted, beside, ranked.cells))
        return
    _show(ranked, by, adjusted, beside)
    written = {"Report": output, "Manifest": None if lineage is None else lineage.path}
    for what, path in written.items():
        if path is not None:
            say(f"{what} -> {path}")


def _show(
    ranked: RankedTags,
    by: str | None,
    adjusted: AdjustedEffects | None,
    beside: BenchmarkReport | None,
) -> None:
    """Print the rankings, and every sentence that belongs beside them."""
    cells = ranked.cells
    show_ranking(ranked.overall, "All responses")
    if adjusted is not None:
        show_adjusted(adjusted)
    for value, ranking in ranked.groups.items():
        show_ranking(ranking, f"{by} = {value or '(blank)'}")
    sentences = [] if beside is None else beside.sentences(by)
    sentences += ranked.overall.notes
    if cells is not None:
        where = "" if cells.reason else " Reports (--output) and --json hold the shrunken figures."
        sentences.append(f"{cells.note}{where}")
    alone = said_by_model_alone(ranked.overall, ["adjusted"] if adjusted is not None else [])
    for sentence in sentences if alone is None else [*sentences, alone]:
        say(sentence)


def _findings(ranked: RankedTags) -> Findings | None:
    """Find what stands out, where the responses are at hand."""
    if ranked.scored is None:
        return None
    return find_all(ranked.scored, versions=() if ranked.provenance is None else ranked.provenance.names())


def show_ranking(ranking: Ranking, title: str, most: int = 15) -> None:
    """Print the metric and its causes, tiers first."""
    metric = ranking.metric
    if metric.value is None:
        say(f"{title}: no scored responses")
        return
    name = {"nps": "NPS", "csat5": "CSAT", "ces7": "CES"}[ranking.scale]
    sign = "+" if ranking.scale == "nps" else ""  # the others run from 0 to 100
    interval = f"[{metric.low:{sign}.1f}, {metric.high:{sign}.1f}]"
    heading = f"{title}: {name} {metric.value:{sign}.1f} {interval}, {ranking.n_scored} scored"
    shown = [row for row in ranking.rows if row.status == "eligible"][:most]
    corrected = ranking.correction.status == "corrected"
    rows = [_row(cause, corrected) for cause in (*shown, *ranking.buckets)]
    columns = ["tier", "rank", "cause", "points lost", "95% interval", "bracket", "mentions", "respondents"]
    columns += ["model alone", "audit"] if corrected else []
    print_table(heading, columns, rows, {0, 1, 3, 4, 5, 6, 7, 8})
    folded = [row for row in ranking.rows if (row.mentions or row.points_lost) and row not in shown]
    if folded:
        points = sum(row.points_lost or 0.0 for row in folded)
        few = sum(row.tier is None for row in folded)
        more = f"{len(folded)} more {'cause' if len(folded) == 1 else 'causes'}, together {points:.2f} points"
        say(f"  {more}" + (f"; {few} of them mentioned by too few people to be ranked" if few else ""))


def show_adjusted(adjusted: AdjustedEffects, most: int = 15) -> None:
    """Print the adjusted effects beside the impacts."""
    rows = [
        [
            row.code,
            _points(row.impact),
            row.reason or _points(row.value),
            f"[{_points(row.low)}, {_points(row.high)}]",
            "other sign" if row.disagrees else "",
        ]
        for row in adjusted.rows[:most]
    ]
    columns = ["cause", "impact", "adjusted effect", "95% interval", ""]
    print_table("Second opinion: the other causes and segments held equal", columns, rows, {1, 2, 3})
    for note in adjusted.notes:
        say(note)


def _row(cause: RootCause, corrected: bool) -> list[str]:
    ranks = "" if cause.rank is None else f"{cause.rank_low}-{cause.rank_high}"
    correction = cause.correction
    few = f"uncorrected ({correction.audited_positives} audited)"
    audit = [
        _points(correction.uncorrected.points_lost),
        few if correction.status == "uncorrected" else "corrected",
    ]
    return [
        "" if cause.tier is None else str(cause.tier),
        ranks,
        _NAMES.get(cause.code, cause.code),
        _points(cause.points_lost),
        f"[{_points(cause.low)}, {_points(cause.high)}]",
        f"{_points(cause.bracket_low)} to {_points(cause.bracket_high)}"
        if (cause.bracket_low or 0.0) < 0
        else f"{_points(cause.bracket_low)}-{_points(cause.bracket_high)}",
        str(cause.mentions),
        str(cause.respondents),
        *(audit if corrected else ()),
    ]


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
