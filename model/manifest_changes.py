"""What has changed since a manifest was made, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data.listing_changes import SHOWN, ChangedRows
from data.row_digests import KINDS
from model.manifest import FiguresRecord, Manifest, ModelRecord, ResponsesRecord

REMARKS = ("thresholds", "key", "code")
"""Changes beside which a ranking still counts as reproduced, as long as its figures are the same."""

_SAID: Mapping[str, str] = {
    "added": "{many} {were} added",
    "removed": "{many} {were} removed",
    "text": "the {comments} of {many} {were} edited",
    "tags": "{many} {have} other tags",
    "answer": "{many} {have} another score, weight, respondent or segment",
    "model": "{many} {were} read by another model or version of the taxonomy",
}
_SUMS: Mapping[str, str] = {
    "text": "Comments were edited",
    "tags": "Tags are others",
    "answer": "Scores, weights, respondents or segments are others",
}


@dataclass(frozen=True)
class Change:
    """One thing that has changed.

    Attributes
    ----------
    kind
        ``figures``, ``rows``, ``added``, ``removed``, ``text``, ``tags``, ``answer``, ``model``, ``audit``,
        ``thresholds``, ``key`` or ``code``.
    sentence
        For people.
    """

    kind: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def changes_between(
    before: Manifest, after: Manifest, rows: Mapping[str, ChangedRows] | None = None
) -> list[Change]:
    """Say what differs between two manifests of the same settings; nothing where all is the same.

    Parameters
    ----------
    before, after
        The manifest that was kept, and that of the ranking of now.
    rows
        What `data.listing_changes.compare_listings` found; None where either has no listing.
    """
    readers = list(_reader_changes(before.models, after.models))
    if rows is None:
        of_rows = _sum_changes(before.responses, after.responses)
    else:
        of_rows = _row_changes({kind: row for kind, row in rows.items() if kind != "model" or not readers})
    return [
        *_figure_changes(before.figures, after.figures),
        *of_rows,
        *readers,
        *_threshold_changes(before.models, after.models),
        *_audit_changes(before, after),
        *_code_changes(before, after),
    ]


def _figure_changes(before: FiguresRecord, after: FiguresRecord) -> Iterator[Change]:
    if before.sha256 == after.sha256:
        return
    parts = []
    if before.metric != after.metric:
        parts.append(f"the metric is {_number(after.metric)} and was {_number(before.metric)}")
    codes = sorted({*before.points_lost, *after.points_lost})
    moved = [code for code in codes if before.points_lost.get(code) != after.points_lost.get(code)]
    for code in moved[:SHOWN]:
        then, now = (_number(part.points_lost.get(code)) for part in (before, after))
        parts.append(f"{code} lost {now} points and had lost {then}")
    if len(moved) > SHOWN:
        parts.append(f"{len(moved) - SHOWN} more causes moved")
    said = "; ".join(parts) or "intervals, ranks or the figures of groups moved"
    yield Change("figures", f"The figures are not the same: {said}.")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _row_changes(rows: Mapping[str, ChangedRows]) -> Iterator[Change]:
    for kind, found in rows.items():
        one = found.count == 1
        words = {
            "many": "1 response" if one else f"{found.count:,} responses",
            "were": "was" if one else "were",
            "have": "has" if one else "have",
            "comments": "comment" if one else "comments",
        }
        names = ", ".join(f"'{name}'" for name in found.ids) + (
            ", ..." if found.count > len(found.ids) else ""
        )
        sentence = _SAID[kind].format(**words)
        yield Change(kind, f"{sentence[0].upper()}{sentence[1:]} ({names}).")


def _sum_changes(before: ResponsesRecord, after: ResponsesRecord) -> Iterator[Change]:
    if before.rows != after.rows:
        yield Change(
            "rows",
            f"There are {after.rows:,} responses and were {before.rows:,}; without a listing of them "
            "(--list-rows) nobody can say which ones.",
        )
        return
    if before.key != after.key:
        yield Change(
            "key",
            "The manifest was made with another key, so it cannot be told whether comments, tags and answers "
            "are the same; name the file of that key with WHYSCORE_MANIFEST_KEY.",
        )
        return
    for kind in KINDS:
        if getattr(before, kind) != getattr(after, kind):
            sentence = (
                f"{_SUMS[kind]}; without a listing of the responses (--list-rows) nobody can say which."
            )
            yield Change(kind, sentence)


def _reader_changes(before: list[ModelRecord], after: list[ModelRecord]) -> Iterator[Change]:
    """Tell whether other models read the responses; more or fewer of one alone are no such change."""
    then, now = (
        {(part.model, part.taxonomy_version): part.rows for part in parts} for parts in (before, after)
    )
    moved = then != now and sum(then.values()) == sum(now.values())
    if moved or then.keys() != now.keys():
        yield Change("model", f"The responses were read by {_readers(after)}; before by {_readers(before)}.")


def _threshold_changes(before: list[ModelRecord], after: list[ModelRecord]) -> Iterator[Change]:
    known = {part.model: part.thresholds for part in before if part.thresholds is not None}
    for part in after:
        if part.model in known and part.thresholds not in (None, known[part.model]):
            yield Change("thresholds", f"The thresholds of {part.model} in the registry are others now.")


def _readers(parts: list[ModelRecord]) -> str:
    def named(part: ModelRecord) -> str:
        version = "" if part.taxonomy_version is None else f", taxonomy {part.taxonomy_version}"
        return f"{part.model or 'an unnamed model'}{version} ({part.rows:,})"

    return " and ".join(named(part) for part in parts) or "none"


def _audit_changes(before: Manifest, after: Manifest) -> Iterator[Change]:
    if before.audit is not None and after.audit is not None and before.audit.sha256 != after.audit.sha256:
        yield Change("audit", f"The audit file {before.audit.path} is not the same.")


def _code_changes(before: Manifest, after: Manifest) -> Iterator[Change]:
    if before.code != after.code:
        then, now = (_program(part) for part in (before, after))
        yield Change("code", f"The program is {now}; the manifest was made by {then}.")


def _program(manifest: Manifest) -> str:
    code = manifest.code
    commit = "" if code.commit is None else f", commit {code.commit[:12]}"
    return f"version {code.version}{commit}{' with changed files' if code.changed else ''}"
