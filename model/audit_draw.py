"""Draws an audit from a tags file: two passes, one for the sample and one for its comments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from data.audits import AuditDesign, AuditLog, DrawnItem, Frame
from data.errors import InputError
from data.scale import Scale
from data.tags import TaggedResponse, read_tags
from data.text import text_hash
from model.audit_sample import DrawnRows, Stratify, auditable, draw_audit
from model.mentions import ScoredResponses
from model.periods import Span
from model.window import answered_within


@dataclass(frozen=True)
class DrawnAudit:
    """What was drawn, and the comments of its items, in their order."""

    log: AuditLog
    comments: tuple[str, ...]


def draw_from_tags(
    tags: Path,
    size: int,
    *,
    scale: Scale,
    stratify: Stratify = "score-and-code",
    seed: int = 0,
    span: Span | None = None,
) -> DrawnAudit:
    """Draw responses of a tags file for people to label.

    Parameters
    ----------
    tags
        As ``whyscore tag`` writes it.
    size, stratify, seed
        As `model.audit_sample.draw_audit` takes them.
    scale
        The declared scale.
    span
        Only responses of these days, as they will be ranked.

    Raises
    ------
    InputError
        If the tags cannot be read, are of several models or taxonomy versions, or nothing can be drawn.
    """
    models: set[tuple[str | None, int | None]] = set()

    def rows() -> Iterator[TaggedResponse]:
        for row in answered_within(read_tags(tags, scale=scale), span):
            models.add((row.model, row.taxonomy_version))
            yield row

    responses = ScoredResponses.from_tagged(rows(), scale, file=tags)
    if len(models) > 1:
        raise InputError(
            "the tags are of several models or taxonomy versions; tag the responses anew with one of them",
            file=tags,
            column="model",
        )
    try:
        drawn = draw_audit(responses, size, stratify=stratify, seed=seed)
    except InputError as error:
        raise InputError(error.message, file=tags) from None
    names = [str(responses.response_ids[row]) for row in drawn.rows]
    found = _comments_of(set(names), tags, scale, span)
    comments = tuple(found[name] for name in names)
    (model, version) = next(iter(models))
    frame = Frame.of(responses.response_ids[auditable(responses)].tolist())
    now = datetime.now(UTC).replace(microsecond=0)
    key = f"{frame.digest} {model} {version} {stratify} {seed} {len(names)} {now.isoformat()}"
    design = AuditDesign(
        id=hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:12],
        model=model,
        taxonomy_version=version,
        drawn_at=now,
        stratify=stratify,
        seed=seed,
        drawn=len(names),
        frame_size=frame.size,
        frame_digest=frame.digest,
    )
    return DrawnAudit(AuditLog(design=design, items=_items(names, comments, drawn)), comments)


def _items(names: list[str], comments: tuple[str, ...], drawn: DrawnRows) -> tuple[DrawnItem, ...]:
    found = zip(names, comments, drawn.probability.tolist(), drawn.stratum.tolist(), strict=True)
    return tuple(
        DrawnItem(
            item=number,
            response_id=name,
            inclusion_probability=chance,
            stratum=stratum,
            text_hash=text_hash(comment),
        )
        for number, (name, comment, chance, stratum) in enumerate(found, start=1)
    )


def _comments_of(names: set[str], tags: Path, scale: Scale, span: Span | None) -> dict[str, str]:
    """Read the comments of some responses; the latest row of an id wins."""
    return {
        row.response.response_id: row.response.comment or ""
        for row in answered_within(read_tags(tags, scale=scale), span)
        if row.response.response_id in names
    }
