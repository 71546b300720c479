"""Events of survey tools, written after their documentation, and how each tool signs them."""

import base64
import hashlib
import hmac
import json

SECRETS = {
    "DELIGHTED_SECRET": "delighted-private-key",
    "TYPEFORM_SECRET": "typeform-secret",
    "ASKNICELY_SECRET": "asknicely-token",
    "SURVEYMONKEY_SECRET": "surveymonkey-client-secret",
    "DESK_SECRET": "desk-secret",
}
CONNECTORS = """
connectors:
  delighted: {secret_env: DELIGHTED_SECRET}
  shop-form:
    kind: typeform
    secret_env: TYPEFORM_SECRET
    score: nps_score
    comment: why
    respondent: customer
    segments: {plan: plan_choice}
  asknicely: {secret_env: ASKNICELY_SECRET, segments: {gym: person.gym_c}}
  surveymonkey: {secret_env: SURVEYMONKEY_SECRET, client_id: app1, score: "11", comment: "12"}
  desk:
    kind: generic
    secret_env: DESK_SECRET
    signature: {header: X-Desk-Signature, algorithm: sha512, prefix: "v0="}
    when: {path: /event, values: [rated]}
    items: tickets
    fields: {response_id: /id, score: rating.score, comment: rating.text, responded_at: rated_at}
    segments: {team: /teams/0}
    version: revision
"""


def connectors_file(folder, monkeypatch, text=CONNECTORS):
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    path = folder / "connectors.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def delighted(kind="updated", score=3, comment="Billed twice", updated_at=1774000600, key="5435"):
    return {
        "event_type": f"survey_response.{kind}",
        "event_id": f"evt-{kind}-{updated_at}",
        "event_data": {
            "id": key,
            "person": {"id": "5975", "email": "x@example.com", "name": "X", "created_at": 1770000000},
            "survey_type": "nps",
            "score": score,
            "comment": comment,
            "permalink": "https://app.delighted.com/r/abc",
            "created_at": 1774000000,
            "updated_at": updated_at,
            "person_properties": {"region": "North", "vip": True},
            "notes": [],
            "tags": [],
            "additional_answers": [],
        },
    }


def typeform(score=8, comment="The price", submitted_at="2026-03-20T10:00:00Z"):
    def question(ref, kind):
        return {"id": f"id-{ref}", "type": kind, "ref": ref}

    return {
        "event_id": "LtWXD3crgy",
        "event_type": "form_response",
        "form_response": {
            "form_id": "lT4Z3j",
            "token": "a3a12ec67a13",
            "landed_at": "2026-03-20T09:50:00Z",
            "submitted_at": submitted_at,
            "hidden": {"customer": "c-17", "region": "South"},
            "definition": {"id": "lT4Z3j", "title": "Survey", "fields": []},
            "answers": [
                {"type": "number", "number": score, "field": question("nps_score", "opinion_scale")},
                {"type": "text", "text": comment, "field": question("why", "long_text")},
                {"type": "choice", "choice": {"label": "Gold"}, "field": question("plan_choice", "dropdown")},
                {"type": "email", "email": "x@example.com", "field": question("mail", "email")},
            ],
        },
    }


def asknicely(count=1, score="10", comment="The agent was lovely"):
    return {
        "count": count,
        "person": {"id": "163012", "name": "F L", "email": "t@example.com", "gym_c": "Riverside"},
        "question": {
            "id": "345094",
            "score": score,
            "comment": comment,
            "sent": "1774990116",
            "opened": "1774990122",
            "responded": "1774990125",
            "segment": "general",
            "deliverymethod": "email",
        },
    }


def surveymonkey(score="2", comment="Billed again", modified="2026-03-20T10:00:00+00:00"):
    return {
        "id": "987654321",
        "survey_id": "123",
        "collector_id": "111",
        "recipient_id": "777",
        "response_status": "completed",
        "custom_variables": {"store": "12"},
        "date_created": "2026-03-20T09:58:00+00:00",
        "date_modified": modified,
        "pages": [
            {"id": "1", "questions": [{"id": "11", "answers": [{"choice_id": "901", "simple_text": score}]}]},
            {"id": "2", "questions": [{"id": "12", "answers": [{"text": comment}]}]},
        ],
    }


def notice(response="987654321", survey="123", event="response_completed"):
    """Give what SurveyMonkey really sends: names, and nothing of what was said."""
    return {
        "name": "Responses",
        "filter_type": "survey",
        "filter_id": survey,
        "event_type": event,
        "event_id": "10028491",
        "object_type": "response",
        "object_id": response,
        "event_datetime": "2026-03-20T10:00:02.182613+00:00",
        "resources": {
            "respondent_id": response,
            "recipient_id": "777",
            "collector_id": "111",
            "survey_id": survey,
            "user_id": "5",
        },
    }


def desk(revision=1, score=4, text="Billed", event="rated"):
    ticket = {"id": 77, "rating": {"score": score, "text": text}, "rated_at": "2026-03-20", "teams": ["A"]}
    return {"event": event, "tickets": [ticket | {"revision": revision}]}


def _digest(algorithm, key, body):
    return hmac.new(key.encode(), body, getattr(hashlib, algorithm)).digest()


def signed(source, event):
    """Give path, body and headers of an event as its tool sends it."""
    body = event if isinstance(event, bytes) else json.dumps(event, indent=1).encode()
    headers = {"content-type": "application/json"}
    if source == "delighted":
        digest = _digest("sha256", SECRETS["DELIGHTED_SECRET"], body)
        headers["X-Delighted-Webhook-Signature"] = f"sha256={digest.hex()}"
    elif source == "shop-form":
        digest = _digest("sha256", SECRETS["TYPEFORM_SECRET"], body)
        headers["Typeform-Signature"] = f"sha256={base64.b64encode(digest).decode()}"
    elif source == "asknicely":
        headers["X-Whyscore-Token"] = SECRETS["ASKNICELY_SECRET"]
    elif source == "surveymonkey":
        digest = _digest("sha1", f"app1&{SECRETS['SURVEYMONKEY_SECRET']}", body)
        headers |= {
            "Sm-Signature": base64.b64encode(digest).decode(),
            "content-type": "application/vnd.surveymonkey.response.v1+json",
        }
    else:
        digest = _digest("sha512", SECRETS["DESK_SECRET"], body)
        headers["X-Desk-Signature"] = f"v0={digest.hex()}"
    return f"/v1/webhooks/{source}", body, headers


def send(client, source, event):
    path, body, headers = signed(source, event)
    return client.post(path, content=body, headers=headers)
