"""The docs say what the code does."""

import json
import re
from pathlib import Path

import pytest
import typer

from data.annotations import read_annotations
from data.settings import Settings
from data.tags import read_tags
from data.taxonomy import parse_taxonomy
from whyscore.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data" / "sample").glob("*.md")])


def test_every_setting_stands_in_the_readme_with_its_default():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `WHYSCORE_(\w+)` \| (.*?) \|", readme, re.MULTILINE))
    assert {name.lower() for name in rows} == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        assert rows[name.upper()].lower() == default.lower()
        assert str(field.description) in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_examples_in_the_formats_page_are_valid(tmp_path):
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    (taxonomy,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    parsed = parse_taxonomy(taxonomy)
    annotation, tags = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "a.jsonl").write_text(annotation, encoding="utf-8")
    wider = parse_taxonomy(taxonomy.replace("migrations:", "  - {id: support.attitude}\nmigrations:"))
    (found,) = read_annotations(tmp_path / "a.jsonl", wider)
    assert found.to_record() == json.loads(annotation)
    (tmp_path / "t.jsonl").write_text(tags, encoding="utf-8")
    (row,) = read_tags(tmp_path / "t.jsonl")
    assert row.tags[0].code in parsed


def test_every_command_is_in_the_formats_page():
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"whyscore {command.callback.__name__}" in page


@pytest.mark.parametrize("name", ["rank", "change", "trends", "findings", "audit sample", "audit import"])
def test_every_flag_of_what_ranks_is_in_the_formats_page(name):
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    usage = page.split("## Commands", 1)[1]
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    lines = " ".join(re.findall(rf"^whyscore {name} .*(?:\n  +.*)*", usage, re.MULTILINE))
    known = {"--json": "under `--json`", "--help": ""}  # which all of them have
    for parameter in command.params:
        for flag in (flag for flag in parameter.opts if flag.startswith("--")):
            assert flag in lines or known[flag] in usage, flag


def test_no_page_speaks_of_a_machine():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/(work|tmp|root|home)/", text), page
