"""A client of the API with a stub for a model, and what to expect of its problems."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime

from fastapi.testclient import TestClient

from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger, tagged

SECRET = "my secret account 4711"


@contextmanager
def served(home, tagger=None, store_url=None, **more):
    if store_url is not None:
        more["store_url"] = store_url
    app = create_app(Settings(home=home, max_body_mb=1, **more), tagger or StubTagger())
    with app.state.service.store, TestClient(app, base_url="http://localhost") as client:
        yield client


def store_of(client):
    return client.app.state.service.store


def problem(answer, status):
    """Check that an answer is a problem of this status, and give it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:whyscore:problem:")
    assert body["title"]
    assert body["detail"]
    assert "secret" not in answer.text
    return body


def post_json(client, path, body):
    return client.post(path, content=body, headers={"content-type": "application/json"})


def rows_to_rank():
    comments = ["Billed twice", "The price, the agent", "lovely", None, "agent lovely", "Billed, the price"]
    return [
        tagged(
            f"r{i:03}",
            None if i % 13 == 0 else (i * 7) % 11,
            comments[i % 6],
            segments={"region": "North" if i % 3 else "South", "Q1: plan": "basic"},
            responded_at=None if i % 17 == 0 else datetime(2026, 3 + i % 2, 1 + i % 28, i % 24, tzinfo=UTC),
        )
        for i in range(120)
    ]


ROWS = rows_to_rank()


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [row["response_id"] for row in answer.json()["responses"]]


def figure(client, pattern):
    """Give the value of the metric whose name and labels match a pattern; 0 where there is none yet."""
    found = re.findall(rf"^{pattern} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[0]) if found else 0.0
