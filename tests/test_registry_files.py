"""The registry read without MLflow: the same answer, and MLflow itself where it cannot tell."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ModelError
from model.registry import find_model
from model.registry_files import find_apart, local_version

ROOT = Path(__file__).resolve().parent.parent


def test_it_finds_what_mlflow_finds(trained_home):
    database = trained_home.home / "mlflow.sqlite"
    location = find_model(None, trained_home)
    for uri in ("models:/reason-codes@champion", "models:/reason-codes/1"):
        name, folder = local_version(database, uri)
        assert name == "reason-codes/1"
        assert folder in location.folder.parents
    assert find_apart("models:/reason-codes/1", trained_home.model_dump_json()) == (
        location.name,
        location.folder,
    )


@pytest.mark.parametrize(
    "uri",
    [
        "models:/reason-codes@nobody",
        "models:/reason-codes/99",
        "models:/none@champion",
        "models:/x",
        "runs:/1",
    ],
)
def test_what_it_cannot_tell_is_left_to_mlflow(trained_home, uri):
    assert local_version(trained_home.home / "mlflow.sqlite", uri) is None


def test_a_database_of_another_make_and_files_elsewhere_are_left_to_mlflow(tmp_path):
    database = tmp_path / "m.sqlite"
    database.write_bytes(b"this is no database, and long enough to be sure of it" * 40)
    assert local_version(database, "models:/a/1") is None
    database.unlink()
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE model_versions (name, version, source, storage_location, current_stage)")
        rows = [("a", 1, "s3://bucket/a", None, "None"), ("a", 2, "x", (tmp_path / "gone").as_uri(), "None")]
        rows += [
            ("a", 3, "x", tmp_path.as_uri(), "None"),
            ("a", 4, "x", tmp_path.as_uri(), "Deleted_Internal"),
        ]
        db.executemany("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?)", rows)
    db.close()
    for version in (1, 2, 4):
        assert local_version(database, f"models:/a/{version}") is None
    assert local_version(database, "models:/a/3") == ("a/3", tmp_path)
    assert local_version(database, "models:/a@champion") is None  # there is no table of aliases


def test_a_model_that_nobody_knows_is_one_sentence(trained_home):
    with pytest.raises(ModelError, match="cannot be fetched"):
        find_apart("models:/reason-codes/99", trained_home.model_dump_json())


def test_finding_a_champion_and_tagging_load_neither_mlflow_nor_pandas_nor_torch(trained_home):
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from data.settings import Settings\n"
        "from serving.api import create_app\n"
        "from data.responses import Response\n"
        "app = create_app(Settings.model_validate_json(sys.stdin.read()))\n"
        "tagger = app.state.service.tagger\n"
        "tagger.tag([Response('a', 3, 'my fee was awful')])\n"
        "print(json.dumps([tagger.name, sorted(sys.modules)]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=trained_home.model_dump_json().encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    name, modules = json.loads(ended.stdout)
    assert name == "reason-codes/1"
    heavy = {"mlflow", "pandas", "torch", "transformers", "sentence_transformers", "sklearn", "onnx"}
    assert not heavy & set(modules)
