import pytest

from data.errors import ModelError
from data.store import StoreError
from model import versions
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


@pytest.fixture
def odd(client):
    """A service, its registry's client, and two runs: versions 3 to 5 have none that is there."""
    from model.registry import connect

    settings = client.app.state.service.settings
    mlflow = connect(settings)
    mlflow.create_registered_model(settings.model_name)
    kept, deleted = (mlflow.create_run(mlflow.create_experiment(name)).info.run_id for name in ("one", "two"))
    mlflow.log_metric(kept, "pair_micro_f1", 0.5)
    mlflow.log_metric(deleted, "pair_micro_f1", 0.6)
    mlflow.delete_run(deleted)  # which keeps its figures until the registry is purged
    for run_id in (kept, deleted, None, "0" * 32, "x'y"):
        mlflow.create_model_version(settings.model_name, "file:///nowhere", run_id)
    return client, mlflow, kept, deleted


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


def test_versions_without_a_run_are_listed_without_figures(odd):
    client, _, kept, deleted = odd
    found = {one["version"]: one for one in client.get("/v1/models").json()["models"]}
    assert list(found) == [5, 4, 3, 2, 1]
    assert [found[version]["metrics"] for version in (1, 2)] == [
        {"pair_micro_f1": 0.5},
        {"pair_micro_f1": 0.6},
    ]
    assert [found[version]["run_id"] for version in (1, 2, 3, 4, 5)] == [kept, deleted, "", "0" * 32, "x'y"]
    for version in (3, 4, 5):
        assert client.get(f"/v1/models/{version}").json() == found[version]
        assert (found[version]["metrics"], found[version]["params"]) == ({}, {})
        assert found[version]["name"] == f"reason-codes/{version}"


def test_the_runs_of_all_versions_are_asked_for_together(odd, monkeypatch):
    import mlflow

    asked = []
    search = mlflow.MlflowClient.search_runs
    monkeypatch.setattr(
        mlflow.MlflowClient, "search_runs", lambda *given: asked.append(given) or search(*given)
    )
    monkeypatch.setattr(mlflow.MlflowClient, "get_run", None)
    assert len(odd[0].get("/v1/models").json()["models"]) == 5
    assert len(asked) == 1
    monkeypatch.setattr(versions, "_RUNS_AT_ONCE", 1)
    assert odd[0].get("/v1/models/2").json()["metrics"] == {"pair_micro_f1": 0.6}
    assert len(asked) == 4


def test_a_rollback_passes_over_versions_that_are_gone(odd):
    client, mlflow, *_ = odd
    for version in (1, 2, 3, 1, 4):
        assert client.post(f"/v1/models/{version}/promote").status_code == 200
    mlflow.delete_model_version("reason-codes", "1")
    mlflow.delete_model_version("reason-codes", "3")
    assert client.post("/v1/models/rollback").json() == {"champion": 2, "before": 4}
    for _ in range(2):
        told = problem(client.post("/v1/models/rollback"), 409)
        assert told["detail"] == "there is no earlier champion to go back to"
    assert client.get("/v1/models/2").json()["champion"]
    assert client.post("/v1/models/4/promote").json() == {"champion": 4, "before": 2}
    assert client.post("/v1/models/rollback").json() == {"champion": 2, "before": 4}


def test_a_rollback_never_goes_to_the_champion_that_is(odd):
    client, mlflow, *_ = odd
    for version in (1, 2, 1, 3):
        client.post(f"/v1/models/{version}/promote")
    mlflow.delete_model_version("reason-codes", "2")
    assert client.post("/v1/models/rollback").json() == {"champion": 1, "before": 3}
    problem(client.post("/v1/models/rollback"), 409)


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
