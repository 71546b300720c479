"""The registry read without MLflow: the same answer, and MLflow itself where it cannot tell."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ModelError
from model.local_registry import UnknownVersionError, aliased, find_apart, local_version
from model.registry import find_model

ROOT = Path(__file__).resolve().parent.parent


def test_it_finds_what_mlflow_finds(trained_home):
    database = trained_home.home / "mlflow.sqlite"
    location = find_model(None, trained_home)
    assert aliased(database, "reason-codes", "champion") == 1
    found = local_version(database, "reason-codes", 1)
    assert found.folder in location.folder.parents
    assert find_apart("models:/reason-codes/1", trained_home.model_dump_json()) == (
        location.name,
        location.folder,
        found.created,
    )


def test_what_it_cannot_tell_is_left_to_mlflow(trained_home):
    database = trained_home.home / "mlflow.sqlite"
    assert aliased(database, "reason-codes", "nobody") is None
    assert local_version(database, "reason-codes", 99) is None
    assert local_version(database, "none", 1) is None


def test_versions_that_are_deleted_or_elsewhere_are_left_to_mlflow(tmp_path):
    database = tmp_path / "m.sqlite"
    columns = "name, version, source, storage_location, current_stage, creation_time"
    with sqlite3.connect(database) as db:
        db.execute(f"CREATE TABLE model_versions ({columns})")
        here = tmp_path.as_uri()
        rows = [("a", 1, "s3://bucket/a", None, "None", 0), ("a", 2, "x", f"{here}/gone", "None", 0)]
        rows += [("a", 3, here, "", "None", 5000), ("a", 4, "x", here, "Deleted_Internal", 0)]
        db.executemany("INSERT INTO model_versions VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.close()
    for version in (1, 2, 4):
        assert local_version(database, "a", version) is None
    found = local_version(database, "a", 3)
    assert (found.folder, found.created) == (tmp_path, 5)
    with pytest.raises(ModelError, match="cannot be read"):
        aliased(database, "a", "champion")  # there is no table of aliases


def test_folders_of_one_name_are_told_apart_by_what_is_in_them(tmp_path, trained_home):
    """Every exported folder is called alike, and what one model tagged is not another's."""
    mine, theirs, copy = (tmp_path / place / "reason-codes" for place in ("mine", "theirs", "copy"))
    for folder, description, engines in ((mine, "{}", "a"), (theirs, "{}", "b"), (copy, "{}", "a")):
        folder.mkdir(parents=True)
        (folder / "reason_codes.json").write_text(description, encoding="utf-8")
        (folder / "engines.json").write_text(engines, encoding="utf-8")
    first, second, again = (find_model(str(folder), trained_home) for folder in (mine, theirs, copy))
    assert re.fullmatch(r"reason-codes-[0-9a-f]{8}", first.name)
    assert first.name == again.name != second.name
    assert first.is_called("reason-codes")  # by tags of an earlier version
    assert not first.is_called(second.name)
    assert not find_model(None, trained_home).is_called("reason-codes")
    (mine / "reason_codes.json").write_text('{"other": 1}', encoding="utf-8")
    (copy / "engines.json").unlink()
    names = {find_model(str(folder), trained_home).name for folder in (mine, theirs, copy)}
    assert len(names | {first.name}) == 4


def test_a_model_that_nobody_knows_is_one_sentence(trained_home):
    with pytest.raises(UnknownVersionError, match="cannot be fetched"):
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
