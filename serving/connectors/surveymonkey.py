"""SurveyMonkey: its notices name a response without holding it, so that it is fetched from its API.

References
----------
SurveyMonkey, API documentation v3: Webhook callbacks; Survey responses. https://api.surveymonkey.com/v3/docs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from data.errors import InputError
from serving.connectors.connector import (
    Connector,
    SourceRecord,
    VariableName,
    iso_time,
    mapping,
    segments_of,
    text_id,
    version_at,
)
from serving.connectors.signatures import BodyHmac, SignatureScheme

HOSTS = {
    "us": "https://api.surveymonkey.com",
    "eu": "https://api.eu.surveymonkey.com",
    "ca": "https://api.surveymonkey.ca",
}
_EVENTS = ("response_completed", "response_updated")
_PREVIEWS = ("preview", "survey_preview")
_NOBODY = (None, "", "0", 0)  # what SurveyMonkey gives as the recipient where the link was open to all
_ID = re.compile(r"[0-9]{1,32}", re.ASCII)


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
    access_token_env
        The environment variable with the app's access token, with which responses are fetched.
    region
        Where the account's data are, which decides on the host of the API.
    """

    kind: ClassVar[str] = "surveymonkey"
    client_id: str
    score: str
    comment: str | None = None
    choices: dict[str, float | int] = {}
    variables: list[str] | None = None
    respondent: str | None = None
    access_token_env: VariableName | None = None
    region: Literal["us", "eu", "ca"] = "us"

    def scheme(self) -> SignatureScheme:
        """Give the HMAC-SHA1 of the body, in base64."""
        return BodyHmac("sm-signature", algorithm="sha1", encoding="base64")

    def key(self, secret: str) -> bytes:
        """Give the client's id and its secret, joined as SurveyMonkey joins them."""
        return f"{self.client_id}&{secret}".encode()

    def named(self, payload: Any) -> tuple[str, str] | None:
        """Give the ids in a callback event, which holds nothing else."""
        event = mapping(payload, "body")
        if "pages" in event or event.get("event_type") not in _EVENTS:
            return None
        resources = mapping(event.get("resources"), "resources")
        ids = (
            text_id(resources.get("survey_id"), "resources.survey_id"),
            text_id(event.get("object_id"), "object_id"),
        )
        if not all(_ID.fullmatch(one) for one in ids):  # they become a part of an address
            raise InputError("'object_id' and 'resources.survey_id' are not numbers")
        return ids

    def token_env(self) -> str | None:
        """Give where the app's access token is."""
        return self.access_token_env

    def address_of(self, survey: str, response: str) -> str:
        """Give the address of a response's details, with the answers' texts beside their ids."""
        return f"{HOSTS[self.region]}/v3/surveys/{survey}/responses/{response}/details?simple=true"

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read a response as ``GET /v3/surveys/ID/responses/ID/details`` gives it."""
        event = mapping(payload, "body")
        if "pages" not in event and "event_type" in event:
            return []
        if event.get("response_status") not in (None, "completed"):
            return []
        if event.get("collection_mode") in _PREVIEWS:
            return []
        answers = dict(_answers(event.get("pages")))
        variables = dict(mapping(event.get("custom_variables") or {}, "custom_variables"))
        respondent = variables.pop(self.respondent, None) if self.respondent else event.get("recipient_id")
        begun = iso_time(event.get("date_created"), "date_created")
        changed = iso_time(event.get("date_modified"), "date_modified")
        cells = segments_of(variables, self.variables) | {
            "response_id": text_id(event.get("id"), "id"),
            "score": self._score(answers.get(self.score, [])),
            "comment": None if self.comment is None else _text(answers.get(self.comment, [])),
            "responded_at": begun or changed,  # an edit changes no day
            "respondent_id": None if respondent in _NOBODY else respondent,
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
        raise InputError("'pages', which holds the answers, is missing or no list")
    for page in pages:
        for question in mapping(page, "pages").get("questions") or []:
            one = mapping(question, "pages.questions")
            answers = [mapping(answer, "pages.questions.answers") for answer in one.get("answers") or []]
            yield text_id(one.get("id"), "pages.questions.id"), answers


def _text(answers: list[Mapping[str, Any]]) -> str | None:
    """Give the text of an answer to an open question; rows of one question make lines of one comment."""
    texts = [answer["text"] for answer in answers if isinstance(answer.get("text"), str)]
    return "\n".join(texts) or None
