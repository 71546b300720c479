"""The house: floors, names, and what may not be imported where."""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("data", "model", "training", "serving", "whyscore")
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


@pytest.mark.parametrize("name", FLOORS)
def test_no_other_distribution_claims_our_names(name):
    owners = {owner.lower() for owner in metadata.packages_distributions().get(name, [])}
    assert owners <= {"whyscore"}


def test_no_room_is_over_400_lines_or_vaguely_named():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}
    assert not [name for name in sizes if Path(name).stem in {"utils", "helpers", "core", "manager", "misc"}]


def test_nothing_is_unpickled_or_evaluated():
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path
            assert not forbidden & set(names), path


SERVING = """
import sys
import serving.api, serving.tagging, serving.batch, serving.ingest, serving.report
import whyscore.cli, whyscore.ranking_commands, whyscore.server
from model.comment_tagger import CommentTagger
names = {"torch", "transformers", "sentence_transformers", "bertopic", "sklearn", "statsmodels"}
heavy = names & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_serving_and_ranking_import_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", SERVING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_serving_install_asks_for_no_torch():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = " ".join(project["dependencies"])
    for heavy in ("torch", "transformers", "bertopic"):
        assert heavy not in names
        assert any(heavy in line for line in project["optional-dependencies"]["train"])
