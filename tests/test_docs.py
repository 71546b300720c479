"""The docs say what the code does."""

import json
import re
from pathlib import Path

import pytest

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


def test_no_page_speaks_of_a_machine():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"/(work|tmp|root|home)/", text), page
