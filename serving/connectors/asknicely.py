"""AskNicely: every number is a text, and every edit fires the same event again.

References
----------
AskNicely, Triggering Webhooks in AskNicely. https://asknicely.zendesk.com
"""

from __future__ import annotations

from typing import Any, ClassVar

from data.cells import parse_number
from data.errors import InputError
from data.source_versions import SourceVersion
from serving.connectors.connector import Connector, SourceRecord, epoch, mapping, segments_of, text_id
from serving.connectors.paths import value_at
from serving.connectors.signatures import SharedToken, SignatureScheme


class AskNicely(Connector):
    """An AskNicely account.

    Attributes
    ----------
    header
        The header, of one's own in AskNicely's settings, that holds the secret: it signs nothing.
    segments
        Segments from custom fields: name to its path in the event, such as ``person.region_c``.
    """

    kind: ClassVar[str] = "asknicely"
    header: str = "X-Whyscore-Token"
    segments: dict[str, str] = {}

    def scheme(self) -> SignatureScheme:
        """Give the shared token in a header."""
        return SharedToken(self.header)

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read an event; one without a score, such as of a survey only opened, holds no response."""
        event = mapping(payload, "body")
        question = mapping(event.get("question"), "question")
        person = mapping(event.get("person") or {}, "person")
        if question.get("score") in (None, ""):
            return []
        custom = {name: value_at(event, path) for name, path in self.segments.items()}
        responded = epoch(question.get("responded"), "question.responded")
        cells = (
            segments_of(question, ["segment", "deliverymethod"])
            | segments_of(custom, None)
            | {
                "response_id": text_id(question.get("id"), "question.id"),
                "score": question["score"],
                "comment": question.get("comment"),
                "responded_at": responded,
                "respondent_id": person.get("id"),
            }
        )
        return [
            SourceRecord(cells, _version(event.get("count"), responded.timestamp() if responded else 0.0))
        ]


def _version(count: Any, responded: float) -> SourceVersion | None:
    """Give the version: how often the event has fired for this response; then when it was answered."""
    try:
        number = parse_number(count)
    except ValueError:
        raise InputError("'count' is not a number") from None
    return None if number is None else SourceVersion(number, responded)
