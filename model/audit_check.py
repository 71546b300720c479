"""Whether an audit fits a ranking: the same responses and comments, a model that was not trained on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.audits import Audit, AuditFault, Frame
from data.errors import InputError, ModelError
from data.settings import Settings
from data.tags import TaggedResponse, read_tags
from data.text import text_hash
from model.audit_sample import auditable
from model.mentions import ScoredResponses
from model.registry import find_model

SEEN_TEXTS = "seen_texts.txt"
"""The file of a model folder that holds the hashes of the comments that the model was fitted on."""

_HASH_LENGTH = 16
_REGISTERED = re.compile(r"[\w.-]+/\d+", re.ASCII)
_UNCHECKED = (
    "It could not be checked whether the model was trained on the audited comments, which would hide its "
    "errors: say where the model is with --model."
)
ALLOWANCE = 0.02
"""The share of audited comments that may have been seen beyond twice the share among all others."""


def read_seen_texts(folder: Path) -> frozenset[str] | None:
    """Give the hashes of the comments that a model was fitted on; None where its folder has none."""
    path = folder / SEEN_TEXTS
    return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else None


def seen_texts_behind(tags: Path, model: str | None, settings: Settings) -> frozenset[str] | None:
    """Find what the model of a tags file was fitted on.

    Parameters
    ----------
    tags
        Its first row names the model.
    model
        Where that model is; by default it is looked for in the registry.
    settings
        Of the registry.

    Returns
    -------
    frozenset of str or None
        The hashes; None where the model is not found, or its folder does not say.

    Raises
    ------
    InputError
        If `model` is another one than that of the tags.
    ModelError
        If `model` is given, and is not there.
    """
    name = next((row.model for row in read_tags(tags)), None)
    if model is None:
        if name is None or not _REGISTERED.fullmatch(name):
            return None
        try:
            return read_seen_texts(find_model(f"models:/{name}", settings).folder)
        except ModelError:
            return None
    location = find_model(model, settings)
    if not location.is_called(name):
        raise InputError(f"the tags are of the model '{name}', and --model is '{location.name}'", file=tags)
    return read_seen_texts(location.folder)


def checked_frame(audit: Audit, responses: ScoredResponses) -> Audit:
    """Check that an audit was drawn from all responses that are ranked; any other misses a part of them.

    Parameters
    ----------
    audit
        The labelled audit.
    responses
        All scored responses of the ranking.

    Returns
    -------
    Audit
        With its fault, where it has one.
    """
    found = Frame.of(responses.response_ids[auditable(responses)].tolist())
    if audit.fault is not None or found == audit.design.frame:
        return audit
    return replace(
        audit,
        fault=AuditFault(
            "other_responses",
            f"The audit was drawn from {audit.design.frame_size:,} comments, and this ranking holds "
            f"{found.size:,}, not the same ones: an audit corrects the responses that it was drawn from.",
        ),
    )


@dataclass
class AuditCheck:
    """Watches tagged responses on their way into a ranking, and says whether an audit fits them.

    Attributes
    ----------
    audit
        The labelled audit.
    seen
        Hashes of the comments that the model of the tags was fitted on; None where nobody knows.
    """

    audit: Audit
    seen: frozenset[str] | None = None
    _models: set[str | None] = field(default_factory=set)
    _versions: set[int | None] = field(default_factory=set)
    _texts: dict[str, str] = field(default_factory=dict)
    _others: int = 0
    _others_seen: int = 0

    def watch(self, rows: Iterable[TaggedResponse]) -> Iterator[TaggedResponse]:
        """Yield the rows as they come, and remember what the check needs of them."""
        audited = {row.annotation.response_id for row in self.audit.rows}
        for row in rows:
            self._models.add(row.model)
            self._versions.add(row.taxonomy_version)
            comment = row.response.comment
            if row.response.response_id in audited:
                self._texts[row.response.response_id] = text_hash(comment or "")
            elif self.seen is not None and comment and row.response.score is not None:
                self._others += 1
                self._others_seen += text_hash(comment)[:_HASH_LENGTH] in self.seen
            yield row

    def result(self) -> Audit:
        """Give the audit, with the fault that was found once all rows have passed, if any."""
        if self.audit.fault is not None:
            return self.audit
        remarks = () if self.seen is not None else (_UNCHECKED,)
        return replace(self.audit, fault=self._fault(), remarks=(*self.audit.remarks, *remarks))

    def _fault(self) -> AuditFault | None:
        design = self.audit.design
        if self._versions - {design.taxonomy_version}:
            return AuditFault(
                "other_taxonomy_version",
                "The tags are of another version of the taxonomy than the audit's labels.",
            )
        if len(self._models) > 1 or (self.seen is None and self._models != {design.model}):
            return AuditFault(
                "other_model",
                "The tags are not all of the model that was audited, and it is not known whether another one "
                "was trained on the audited comments; say where it is with --model.",
            )
        edited = sum(
            self._texts.get(row.annotation.response_id, "") != text_hash(row.annotation.comment)
            for row in self.audit.rows
        )
        if edited:
            return AuditFault(
                "other_comments",
                f"{edited:,} audited comments are not in the tags as they were labelled.",
            )
        return self._trained_on_it()

    def _trained_on_it(self) -> AuditFault | None:
        """Compare how many audited comments the model has seen with how many of the others.

        Short comments ("good") stand in any training set. A model that was trained on the audit has
        seen far more of the audited comments than of the others.
        """
        if self.seen is None:
            return None
        hits = sum(text[:_HASH_LENGTH] in self.seen for text in self._texts.values())
        share = self._others_seen / max(1, self._others)
        if hits <= (2.0 * share + ALLOWANCE) * len(self._texts):
            return None
        return AuditFault(
            "seen_in_training",
            f"The model was trained on {hits:,} of the {len(self._texts):,} audited comments, "
            "so its errors on them are not those on the others.",
        )
