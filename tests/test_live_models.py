"""The registry's champion is followed: loaded beside the old one, checked, swapped; or refused."""

import gc
import json
import logging
import threading
import weakref
from dataclasses import replace

import pytest

from data.errors import ModelError, NotFoundError
from data.settings import Settings
from data.tags import Tag
from model import registry
from model.local_registry import aliased, local_version
from model.registry import CHALLENGER, UnknownVersionError, aliased_version, connect, find_model
from serving.followed_model import FollowedModel
from serving.live_models import LiveModels
from serving.model_check import check_model
from serving.tagging import load_tagger
from tests.http_client import problem, served
from tests.stubs import StubTagger, response
from training.registration import current_champion, promote, rollback


class Registry:
    """Stands for a registry: what it wants, and what loading gives."""

    def __init__(self):
        self.wanted, self.made, self.now = "models:/stub/1", {}, 0.0

    def want(self):
        if isinstance(self.wanted, Exception):
            raise self.wanted
        return self.wanted

    def load(self, uri):
        made = self.made.get(uri, StubTagger(uri.removeprefix("models:/")))
        if isinstance(made, Exception):
            raise made
        return made

    def follow(self, **more):
        return FollowedModel("champion", self.want, self.load, clock=lambda: self.now, **more)


@pytest.fixture
def stub_registry():
    return Registry()


def test_another_champion_is_taken_and_the_old_one_let_go(stub_registry):
    followed = stub_registry.follow()
    followed.step()
    assert followed.tagger().name == "stub/1"
    old = weakref.ref(followed.tagger())
    held = followed.tagger()  # a batch in flight
    stub_registry.wanted = "models:/stub/2"
    followed.step()
    assert followed.tagger().name == "stub/2"
    assert held.tag([response("r1")])[0].model == "stub/1"
    del held
    gc.collect()
    assert old() is None


def broken_taggers():
    class Odd(StubTagger):
        def __init__(self, change):
            super().__init__("stub/2")
            self.change = change

        def tag(self, responses):
            return self.change(super().tag(responses))

    tag = Tag("billing.unexpected-charge", "negative", 0.5, ())
    yield (
        "no code of its taxonomy",
        Odd(lambda rows: [replace(r, tags=(replace(tag, code="x"),)) for r in rows]),
    )
    for value in (float("nan"), 1.5):
        yield (
            f"probability {value}",
            Odd(lambda rows, p=value: [replace(r, tags=(replace(tag, probability=p),)) for r in rows]),
        )
    yield "an answer too few", Odd(lambda rows: rows[1:])
    yield "an error", Odd(lambda rows: [replace(r, status="error", tags=()) for r in rows])
    yield "it fails", Odd(lambda rows: 1 / 0)
    yield "it cannot be loaded", ModelError("the exported network cannot be loaded")


@pytest.mark.parametrize(
    ("fault", "made"), list(broken_taggers()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_broken_model_is_refused_and_the_old_one_stays(stub_registry, fault, made, caplog):
    told = []
    followed = stub_registry.follow(on_change=told.append)
    followed.step()
    stub_registry.wanted, stub_registry.made["models:/stub/2"] = "models:/stub/2", made
    followed.step()
    assert followed.tagger().name == "stub/1"
    assert followed.refused.uri == "models:/stub/2"
    assert followed.refused.reason
    followed.step()  # too soon to try again
    assert followed.refused.tries == 1
    assert sum("is refused" in line for line in caplog.messages) == 1
    stub_registry.now = 2.5
    followed.step()
    assert followed.refused.tries == 2
    assert sum("is refused" in line for line in caplog.messages) == 1
    # Its files have arrived, or somebody has mended it.
    stub_registry.made["models:/stub/2"], stub_registry.now = StubTagger("stub/2"), 100.0
    followed.step()
    assert (followed.tagger().name, followed.refused) == ("stub/2", None)
    assert [type(change).__name__ for change in told] == ["Serving", "Refusal", "Refusal", "Serving"]


def test_a_refused_model_that_is_not_wanted_any_more_is_forgotten(stub_registry):
    followed = stub_registry.follow()
    followed.step()
    stub_registry.wanted, stub_registry.made["models:/stub/2"] = "models:/stub/2", ModelError("broken")
    followed.step()
    stub_registry.wanted = "models:/stub/1"
    followed.step()
    assert followed.refused is None


def test_a_registry_that_is_gone_is_told_of_once(stub_registry, caplog):
    followed = stub_registry.follow()
    followed.step()
    stub_registry.wanted = ModelError("the registry cannot be reached")
    for _ in range(5):
        followed.step()
    assert followed.tagger().name == "stub/1"
    assert followed.problem == "the registry cannot be reached"
    assert len(caplog.messages) == 1
    stub_registry.wanted = "models:/stub/2"
    followed.step()
    assert (followed.problem, followed.tagger().name) == (None, "stub/2")
    assert "answers again" in caplog.messages[1]


def test_the_shipped_network_passes_the_check_and_a_broken_one_does_not(trained_home):
    tagger = load_tagger(None, trained_home)
    check_model(tagger)

    class Nan:
        def read(self, comments):
            reading = tagger.reader.engine.read(comments)
            return replace(reading, logits=reading.logits * float("nan"))

    with pytest.raises(ModelError, match="probabilities"):
        check_model(replace(tagger, reader=replace(tagger.reader, engine=Nan())))
    fewer = replace(tagger.reader.description, codes=tagger.reader.description.codes[:2])
    with pytest.raises((ModelError, IndexError)):
        check_model(replace(tagger, reader=replace(tagger.reader, description=fewer)))


# The registry's own files, read without MLflow.


@pytest.fixture
def two_versions(two_versions):
    """Such a home whose servers look often who is champion, and show all to a challenger."""
    return two_versions.model_copy(update={"follow_seconds": 0.02, "shadow_share": 1.0})


def test_the_file_is_read_as_mlflow_reads_it(two_versions):
    database = two_versions.home / "mlflow.sqlite"
    assert aliased(database, "reason-codes", "champion") == current_champion(two_versions) == 1
    assert aliased_version(CHALLENGER, two_versions) is None
    promote(2, two_versions)
    assert aliased(database, "reason-codes", "champion") == current_champion(two_versions) == 2
    location = find_model(None, two_versions)
    mlflows = connect(two_versions).get_model_version("reason-codes", "2")
    assert location.name == "reason-codes/2"
    assert location.created == mlflows.creation_timestamp / 1000
    assert registry._from_registry("models:/reason-codes/2", two_versions) == location
    assert local_version(database, "reason-codes", 9) is None


def test_what_the_registry_does_not_have_is_told_apart_from_one_that_is_gone(two_versions, monkeypatch):
    with pytest.raises(UnknownVersionError):
        find_model("models:/reason-codes/9", two_versions)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "database_of", lambda uri: None)  # so that MLflow itself is asked
        assert aliased_version("champion", two_versions) == 1
        assert aliased_version(CHALLENGER, two_versions) is None
        with pytest.raises(UnknownVersionError):
            find_model("models:/reason-codes/9", two_versions)
    (two_versions.home / "mlflow.sqlite").rename(two_versions.home / "away.sqlite")
    with pytest.raises(ModelError, match="whyscore train"):
        aliased_version("champion", two_versions)
    assert not (two_versions.home / "mlflow.sqlite").exists()


# The whole way: promotions under load, pins, the challenger.


def tag_once(client, **more):
    answer = client.post("/v1/tag", json={"responses": [{"comment": "my fee was awful"}], **more})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {row["model"] for row in body["responses"]} == {body["model"]}
    assert body["taxonomy_version"] == 1
    return body["model"]


def until(check):
    """Ask until it holds; the promise under test is that it comes to hold at all."""
    for _ in range(3000):
        if check():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to hold")


@pytest.fixture
def live(two_versions):
    from fastapi.testclient import TestClient

    from serving.api import create_app

    with TestClient(create_app(two_versions), base_url="http://localhost") as client:
        yield client


def test_promotions_and_rollback_are_followed_without_a_failed_request(live, two_versions):
    seen, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            seen.append(tag_once(live))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in (2, 1, 2):
            promote(version, two_versions)
            until(lambda version=version: seen and seen[-1] == f"reason-codes/{version}")
        assert rollback(two_versions) == 1
        until(lambda: seen[-1] == "reason-codes/1")
    finally:
        stop.set()
        asking.join()
    assert set(seen) == {"reason-codes/1", "reason-codes/2"}
    status = live.get("/v1/models/serving").json()
    assert (status["model"], status["follows"], status["refused"]) == ("reason-codes/1", "champion", None)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "taxonomy.yaml", "reason_codes.json"])
def test_a_half_written_champion_is_refused_and_taken_once_it_is_whole(live, two_versions, tmp_path, name):
    network = tmp_path / "version-2" / name
    whole = network.read_bytes()
    network.write_bytes(whole[: len(whole) // 2])
    promote(2, two_versions)
    until(lambda: live.get("/v1/models/serving").json()["refused"])
    refused = live.get("/v1/models/serving").json()["refused"]
    assert refused["model"] == "reason-codes/2"
    assert refused["reason"]
    assert tag_once(live) == "reason-codes/1"
    ready = live.get("/readyz")
    assert ready.status_code == 200
    assert "reason-codes/2 is refused" in ready.json()["problems"][0]
    network.write_bytes(whole)
    until(lambda: tag_once(live) == "reason-codes/2")
    assert "problems" not in live.get("/readyz").json()


def test_a_registry_that_goes_and_comes_back(live, two_versions):
    file = two_versions.home / "mlflow.sqlite"
    away = file.with_name("away.sqlite")
    file.rename(away)
    until(lambda: "problems" in live.get("/readyz").json())
    assert "registry" in live.get("/readyz").json()["problems"][0]
    assert tag_once(live) == "reason-codes/1"
    problem(live.post("/v1/models/2/tag", json={"responses": []}), 503)
    away.rename(file)
    promote(2, two_versions)
    until(lambda: tag_once(live) == "reason-codes/2")


def test_a_request_pins_a_version(live):
    assert tag_once(live) == "reason-codes/1"
    for name in ("reason-codes/2", "2"):
        assert tag_once(live, model=name) == "reason-codes/2"
    items = {"responses": [{"comment": "it broke"}], "operating_point": "high_recall"}
    for answer in (
        live.post("/v1/tag?model=reason-codes/2", json=items),
        live.post("/v1/models/2/tag", json=items),
    ):
        assert answer.json()["model"] == "reason-codes/2@high_recall"
    kind = {"content-type": "application/x-ndjson"}
    line = live.post("/v1/tag/stream?model=2", content=b'{"comment": "it broke"}\n', headers=kind)
    assert json.loads(line.text)["model"] == "reason-codes/2"
    problem(live.post("/v1/tag/stream?model=9", content=b"{}\n", headers=kind), 404)
    assert live.get("/v1/models/serving").json()["pinned"] == ["reason-codes/2"]
    for name in ("reason-codes/9", "other/1", "reason-codes/../2", "0", "latest", ""):
        problem(live.post("/v1/tag", json={"responses": [], "model": name}), 404)
    problem(live.post("/v1/models/9/tag", json={"responses": []}), 404)
    problem(live.post("/v1/models/0/tag", json={"responses": []}), 422)
    clash = live.post("/v1/tag?model=1", json={"responses": [], "model": "2"})
    assert problem(clash, 422)["errors"][0]["pointer"] == "#/model"


def test_pinned_versions_are_loaded_once_and_the_least_used_is_let_go(tmp_path):
    loads, gate = [], threading.Event()

    def load(uri):
        loads.append(uri)
        assert gate.wait(30)
        return StubTagger(uri.removeprefix("models:/"))

    models = LiveModels(Settings(home=tmp_path, pinned_models=2), StubTagger(), load)
    threads = [threading.Thread(target=models.named, args=("5",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert loads == ["models:/reason-codes/5"]
    for version in ("6", "5", "7"):
        assert models.named(version).name == f"reason-codes/{version}"
    assert models.status()["pinned"] == ["reason-codes/5", "reason-codes/7"]
    assert models.named("stub/1").name == "stub/1"


def test_a_server_of_one_model_follows_nothing(tmp_path):
    with served(tmp_path, StubTagger("folder")) as client:
        assert client.get("/v1/models/serving").json()["follows"] is None
        problem(client.post("/v1/models/7/tag", json={"responses": []}), 404)
        models = client.app.state.service.models
        with pytest.raises(NotFoundError):
            models.named("reason-codes/7")


def test_the_challenger_reads_along_and_is_reported(live, two_versions):
    assert live.get("/v1/models/shadow").json()["challenger"] is None
    connect(two_versions).set_registered_model_alias("reason-codes", CHALLENGER, "2")
    until(lambda: live.get("/v1/models/shadow").json()["challenger"] == "reason-codes/2")
    until(lambda: tag_once(live) and live.get("/v1/models/shadow").json()["comments"] >= 3)
    report = live.get("/v1/models/shadow").json()
    assert report["champion"] == "reason-codes/1"
    assert report["same_codes"] == report["comments"]
    for agreement in report["codes"].values():
        assert agreement["only_champion"] == agreement["only_challenger"] == 0
        assert agreement["mean_probability_difference"] == 0
    assert "awful" not in json.dumps(report)
    promote(2, two_versions)  # a promoted challenger has nothing to be compared with
    until(lambda: live.get("/v1/models/shadow").json()["challenger"] is None)


def test_a_change_is_logged_without_comments(live, two_versions, caplog):
    caplog.set_level(logging.INFO)
    promote(2, two_versions)
    until(lambda: tag_once(live) == "reason-codes/2")
    assert any("reason-codes/2 serves as champion after reason-codes/1" in line for line in caplog.messages)
    assert "awful" not in caplog.text
