"""Delighted: the score comes first, the comment minutes later in an event of its own.

References
----------
Delighted, API documentation, Webhooks. https://app.delighted.com/docs/api/webhooks
"""

from __future__ import annotations

from typing import Any, ClassVar

from serving.connectors.connector import (
    Connector,
    SourceRecord,
    epoch,
    mapping,
    segments_of,
    text_id,
    version_at,
)
from serving.connectors.signatures import BodyHmac, SignatureScheme

_EVENTS = ("survey_response.created", "survey_response.updated")


class Delighted(Connector):
    """A Delighted project.

    Attributes
    ----------
    survey_types
        The surveys to take; a scale of 1-5 must not be mixed with one of 0-10.
    properties
        The person properties that become segments; all where not given.
    """

    kind: ClassVar[str] = "delighted"
    survey_types: list[str] = ["nps"]
    properties: list[str] | None = None

    def scheme(self) -> SignatureScheme:
        """Give the HMAC-SHA256 of the body, in hex, keyed with the account's private API key."""
        return BodyHmac("x-delighted-webhook-signature", prefix="sha256=")

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read ``survey_response.created`` and ``.updated``; the latter holds the whole record again."""
        event = mapping(payload, "body")
        if event.get("event_type") not in _EVENTS:
            return []
        data = mapping(event.get("event_data"), "event_data")
        if data.get("survey_type") not in self.survey_types:
            return []
        person = mapping(data.get("person") or {}, "event_data.person")
        properties = mapping(data.get("person_properties") or {}, "event_data.person_properties")
        cells = segments_of(properties, self.properties) | {
            "response_id": text_id(data.get("id"), "event_data.id"),
            "score": data.get("score"),
            "comment": data.get("comment"),
            "responded_at": epoch(data.get("created_at"), "event_data.created_at"),
            "respondent_id": person.get("id"),
        }
        changed = epoch(data.get("updated_at"), "event_data.updated_at")
        # Both events may fall into one second: then what was updated is the later one.
        return [SourceRecord(cells, version_at(changed, float(event["event_type"] == _EVENTS[1])))]
