"""Typeform: one event for each submitted form, its answers named by the questions' references.

References
----------
Typeform, Secure your webhooks; Example payload. https://www.typeform.com/developers/webhooks/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from data.errors import InputError
from serving.connectors.connector import (
    Connector,
    SourceRecord,
    iso_time,
    mapping,
    segments_of,
    text_id,
    version_at,
)
from serving.connectors.signatures import BodyHmac, SignatureScheme


class Typeform(Connector):
    """A form.

    Attributes
    ----------
    score, comment
        The reference (or the id) of the question that holds it.
    segments
        Segments from answers: name to the question's reference or id.
    hidden
        The hidden fields that become segments; all where not given.
    respondent
        The hidden field that says who answered.
    """

    kind: ClassVar[str] = "typeform"
    score: str
    comment: str | None = None
    segments: dict[str, str] = {}
    hidden: list[str] | None = None
    respondent: str | None = None

    def scheme(self) -> SignatureScheme:
        """Give the HMAC-SHA256 of the body, in base64 behind ``sha256=``."""
        return BodyHmac("typeform-signature", encoding="base64", prefix="sha256=")

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read ``form_response``; partial responses are left out."""
        event = mapping(payload, "body")
        if event.get("event_type") != "form_response":
            return []
        form = mapping(event.get("form_response"), "form_response")
        answers = _answers(form.get("answers"))
        hidden = dict(mapping(form.get("hidden") or {}, "form_response.hidden"))
        respondent = hidden.pop(self.respondent, None) if self.respondent else None
        said = {name: answers.get(question) for name, question in self.segments.items()}
        submitted = iso_time(form.get("submitted_at"), "form_response.submitted_at")
        cells = (
            segments_of(hidden, self.hidden)
            | segments_of(said, None)
            | {
                "response_id": text_id(form.get("token"), "form_response.token"),
                "score": answers.get(self.score),
                "comment": None if self.comment is None else answers.get(self.comment),
                "responded_at": submitted,
                "respondent_id": respondent,
            }
        )
        return [SourceRecord(cells, version_at(submitted))]


def _answers(found: Any) -> dict[str, Any]:
    """Give the answers by reference and by id; a form may be sent without any."""
    if found is None:
        return {}
    if not isinstance(found, list):
        raise InputError("'form_response.answers' is missing or no list")
    answers: dict[str, Any] = {}
    for place, answer in enumerate(found):
        given = mapping(answer, f"form_response.answers.{place}")
        field = mapping(given.get("field"), f"form_response.answers.{place}.field")
        for name in (field.get("id"), field.get("ref")):
            if isinstance(name, str):
                answers[name] = _value(given)
    return answers


def _value(answer: Mapping[str, Any]) -> Any:
    """Give what an answer says; its type names the key that holds it."""
    value = answer.get(str(answer.get("type")))
    if isinstance(value, dict):  # a choice, or several
        labels = value.get("labels") or [value.get("label")]
        return "; ".join(str(label) for label in [*labels, value.get("other")] if label)
    return value
