"""SurveyMonkey: its notifications name a response without holding it; whole responses are read here.

References
----------
SurveyMonkey, API documentation v3: Webhook callbacks; Survey responses. https://api.surveymonkey.com/v3/docs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class SurveyMonkey(Connector):
    """A SurveyMonkey app.

    Attributes
    ----------
    client_id
        The app's client id, which is a part of the key.
    score, comment
        The ids of the questions.
    choices
        Of the question of the score: what each choice's id stands for. Without it the answer's
        ``simple_text`` is read, which SurveyMonkey adds on ``?simple=true``.
    variables
        The custom variables that become segments; all where not given.
    respondent
        The custom variable that says who answered; the recipient's id where not given.
    """

    kind: ClassVar[str] = "surveymonkey"
    client_id: str
    score: str
    comment: str | None = None
    choices: dict[str, float | int] = {}
    variables: list[str] | None = None
    respondent: str | None = None

    def scheme(self) -> SignatureScheme:
        """Give the HMAC-SHA1 of the body, in base64."""
        return BodyHmac("sm-signature", algorithm="sha1", encoding="base64")

    def key(self, secret: str) -> bytes:
        """Give the client's id and its secret, joined as SurveyMonkey joins them."""
        return f"{self.client_id}&{secret}".encode()

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read a response as ``GET /v3/surveys/ID/responses/ID/details`` gives it."""
        event = mapping(payload, "body")
        if "pages" not in event:
            if event.get("event_type") not in (None, "response_completed", "response_updated"):
                return []
            raise InputError(
                "this event names a response and does not hold it; send the response's details "
                "(GET /v3/surveys/ID/responses/ID/details?simple=true)"
            )
        if event.get("response_status") not in (None, "completed"):
            return []
        answers = dict(_answers(event["pages"]))
        variables = dict(mapping(event.get("custom_variables") or {}, "custom_variables"))
        respondent = variables.pop(self.respondent, None) if self.respondent else event.get("recipient_id")
        changed = iso_time(event.get("date_modified"), "date_modified")
        cells = segments_of(variables, self.variables) | {
            "response_id": text_id(event.get("id"), "id"),
            "score": self._score(answers.get(self.score, [])),
            "comment": None if self.comment is None else _text(answers.get(self.comment, [])),
            "responded_at": changed,
            "respondent_id": respondent or None,
        }
        return [SourceRecord(cells, version_at(changed))]

    def _score(self, answers: list[Mapping[str, Any]]) -> Any:
        for answer in answers:
            if str(answer.get("choice_id")) in self.choices:
                return self.choices[str(answer["choice_id"])]
            if not self.choices and "simple_text" in answer:
                return answer["simple_text"]
        if answers:
            raise InputError(
                f"no answer to question {self.score} has a known choice; list them under 'choices', "
                "or send the details with ?simple=true"
            )
        return None


def _answers(pages: Any) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    if not isinstance(pages, list):
        raise InputError("'pages' is no list")
    for page in pages:
        for question in mapping(page, "pages").get("questions") or []:
            one = mapping(question, "pages.questions")
            answers = [mapping(answer, "pages.questions.answers") for answer in one.get("answers") or []]
            yield text_id(one.get("id"), "pages.questions.id"), answers


def _text(answers: list[Mapping[str, Any]]) -> str | None:
    """Give the text of an answer to an open question; rows of one question make lines of one comment."""
    texts = [answer["text"] for answer in answers if isinstance(answer.get("text"), str)]
    return "\n".join(texts) or None
