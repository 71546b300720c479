import logging
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from data.settings import Settings
from data.store import Store
from serving.api import create_app
from tests.http_client import ROWS, SECRET, problem, served, store_of
from tests.stubs import StubTagger, tagged

ROOT = Path(__file__).parents[1]


# Whoever watches, and what goes wrong.


def test_it_is_up_and_ready(filled):
    assert filled.get("/healthz").json() == {"status": "ok"}
    assert filled.get("/readyz").json() == {"status": "ready", "model": "stub/1", "responses": len(ROWS)}


def test_without_a_model_it_is_up_but_not_ready(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'own.sqlite'}")
    store.upsert([tagged("r1"), tagged("r2", 10, None)])
    app = create_app(Settings(home=tmp_path / "home"), None, store)
    with store, TestClient(app, base_url="http://localhost") as client:
        assert client.get("/healthz").status_code == 200
        assert "whyscore train" in problem(client.get("/readyz"), 503)["detail"]
        problem(client.post("/v1/tag", json={"responses": []}), 503)
        problem(client.get("/v1/taxonomy"), 503)
        reply = client.get("/v1/root-causes").json()
        assert reply["labels"]["billing.unexpected-charge"] == "Unexpected charge"


def test_a_store_that_is_gone_is_not_ready(client):
    client.post("/v1/responses", json={"responses": [{"response_id": "r1"}]})
    with store_of(client)._writer.begin() as connection:
        cascade = " CASCADE" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql("DROP TABLE tags")
        connection.exec_driver_sql(f"DROP TABLE responses{cascade}")
    assert client.get("/healthz").status_code == 200
    problem(client.get("/readyz"), 503)


def test_scores_of_another_scale_are_explained(tmp_path):
    with served(tmp_path) as client:
        client.post("/v1/responses", json={"responses": [{"response_id": "r1", "score": 10}]})
    with served(tmp_path, scale="csat5") as client:
        assert "WHYSCORE_SCALE" in problem(client.get("/v1/root-causes"), 503)["detail"]


def test_an_unknown_address_or_method_is_a_problem(shared):
    problem(shared.get("/v1/nope"), 404)
    found = shared.delete("/v1/tag")
    problem(found, 405)
    assert found.headers["allow"] == "POST"


def test_what_nobody_foresaw_tells_nothing_and_logs_no_comment(tmp_path, caplog):
    class Broken(StubTagger):
        def tag(self, responses):
            raise RuntimeError(f"cannot read {responses[0].comment}")

    with served(tmp_path, Broken()) as client, caplog.at_level(logging.DEBUG):
        answer = client.post("/v1/tag", json={"responses": [{"comment": SECRET}]})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (
            problem(answer, 500)["detail"] == "something went wrong on this side; the server's log says more"
        )
    assert "RuntimeError" in caplog.text
    assert "endpoints_tagging.py" in caplog.text
    assert "secret" not in caplog.text


# The page.


def test_the_page_may_load_nothing_from_elsewhere(shared):
    page = shared.get("/")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert shared.get("/v1/responses").headers["cache-control"] == "no-store"


def test_only_the_files_of_the_page_are_served(shared):
    assert shared.get("/assets/index.html").status_code == 200
    for name in ("__init__.py", "nope.js", "..%2Fapi.py", "%2e%2e/api.py"):
        problem(shared.get(f"/assets/{name}"), 404)


LIGHT = """
import sys, tempfile
from fastapi.testclient import TestClient
from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger
with tempfile.TemporaryDirectory() as home:
    client = TestClient(create_app(Settings(home=home), StubTagger()), base_url="http://localhost")
    items = [{"response_id": "r1", "score": 3, "comment": "Billed"}]
    client.post("/v1/responses", json={"responses": items}).raise_for_status()
    client.get("/v1/root-causes").raise_for_status()
    client.app.state.service.store.close()
print(*{"torch", "sentence_transformers", "bertopic", "transformers"} & set(sys.modules))
"""


def test_serving_imports_none_of_the_training_packages():
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example", 421), ("", 421)],
)
def test_only_this_machines_own_names_are_answered(tmp_path, host, status):
    with served(tmp_path) as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == status
    with served(tmp_path, allow_remote=True) as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_key_that_is_endless_does_not_make_the_sentence_so(client):
    answer = client.post("/v1/tag", json={"responses": [], "x" * 5000: 1})
    found = problem(answer, 422)
    assert len(found["detail"]) < 200
    assert found["errors"][0]["pointer"] == "#/" + "x" * 5000
