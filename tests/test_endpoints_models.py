import pytest

from data.errors import ModelError
from data.store import StoreError
from model.versions import RegisteredVersion, promote
from serving import endpoints_models
from tests.http_client import problem, served
from training.registration import promote as promoted_by_training


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A service whose registry holds three versions, without files behind them."""
    from model.registry import connect

    with served(tmp_path_factory.mktemp("home")) as client:
        settings = client.app.state.service.settings
        mlflow = connect(settings)
        experiment = mlflow.create_experiment("test")
        mlflow.create_registered_model(settings.model_name)
        for number in range(3):
            run = mlflow.create_run(experiment)
            mlflow.log_metric(run.info.run_id, "pair_micro_f1", 0.5 + number / 10)
            mlflow.log_param(run.info.run_id, "annotations", number)
            mlflow.create_model_version(settings.model_name, "file:///nowhere", run.info.run_id)
        yield client


def test_without_a_registry_there_are_no_models_and_none_is_made(client, tmp_path):
    assert client.get("/v1/models").json() == {"models": [], "next_cursor": None, "next": None}
    problem(client.get("/v1/models/1"), 404)
    problem(client.post("/v1/models/1/promote"), 404)
    problem(client.post("/v1/models/rollback"), 409)
    problem(client.get("/v1/models/0"), 422)
    problem(client.get("/v1/models/many"), 422)
    assert not (tmp_path / "mlflow.sqlite").exists()


def test_versions_are_listed_promoted_and_rolled_back(registered):
    first = registered.get("/v1/models", params={"limit": 2}).json()
    assert [one["version"] for one in first["models"]] == [3, 2]
    assert [one["version"] for one in registered.get(first["next"]).json()["models"]] == [1]
    one = registered.get("/v1/models/2").json()
    assert (one["name"], one["champion"], one["metrics"]["pair_micro_f1"]) == ("reason-codes/2", False, 0.6)
    assert one["params"] == {"annotations": "1"}
    problem(registered.post("/v1/models/rollback"), 409)
    assert registered.post("/v1/models/1/promote").json() == {"champion": 1, "before": None}
    key = {"Idempotency-Key": "p"}
    assert registered.post("/v1/models/3/promote", headers=key).json() == {"champion": 3, "before": 1}
    assert registered.post("/v1/models/3/promote", headers=key).json() == {"champion": 3, "before": 1}
    assert registered.get("/v1/models/3").json()["champion"]
    assert registered.post("/v1/models/rollback").json() == {"champion": 1, "before": 3}
    problem(registered.post("/v1/models/9/promote"), 404)
    problem(registered.get("/v1/models?cursor=x"), 422)


def test_a_promotion_is_told_and_stands_where_it_cannot_be(registered, monkeypatch):
    told = {"url": "https://example.com/hook", "events": ["model.promoted"]}
    assert registered.post("/v1/webhook-subscriptions", json=told).status_code == 200
    registered.post("/v1/models/2/promote")
    registered.post("/v1/models/rollback")
    assert len(registered.get("/v1/webhook-deliveries").json()["deliveries"]) == 2

    def gone(*_):
        raise StoreError("the store is gone")

    monkeypatch.setattr(endpoints_models, "announce_promotion", gone)
    assert registered.post("/v1/models/2/promote").json()["champion"] == 2


def test_a_registry_that_is_broken_is_told(client, tmp_path):
    (tmp_path / "mlflow.sqlite").write_text("not a database, though it is long enough for one" * 40)
    for answer in (
        client.get("/v1/models"),
        client.post("/v1/models/1/promote"),
        client.post("/v1/models/rollback"),
    ):
        problem(answer, 503)


def test_training_promotes_as_serving_does():
    assert promoted_by_training is promote
    assert RegisteredVersion.__module__ == "model.versions"
    assert issubclass(ModelError, Exception)
