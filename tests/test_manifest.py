"""Manifests: what a ranking came from, and what has changed since, in sentences."""

import dataclasses
import json

import pytest

from data.errors import InputError, NotFoundError
from data.listing_changes import compare_listings
from data.row_digests import DigestKey
from data.scale import NPS
from data.settings import Settings
from data.tags import Tag, write_tags
from model.manifest import Manifest, figures_of, read_manifest
from model.manifest_changes import REMARKS, changes_between
from model.root_causes import rank_root_causes
from model.tags_ranking import DigestsWanted, RankingSettings, rank_tags
from tests.random_responses import random_responses
from tests.random_tags import SEGMENTS, random_tags
from whyscore.reproduction_commands import ManifestRequest, make_manifest

ASKED = RankingSettings(NPS, by="country", codes=["never.heard"])
ROWS = list({row.response.response_id: row for row in random_tags(3, 150)}.values())


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("model.rank_intervals.DRAWS", 200)


@pytest.fixture
def ranked(tmp_path):
    """Give a function that writes rows, ranks them, and gives the manifest and the listing."""
    settings = Settings(home=tmp_path / "home")

    def rank(rows, name="tags.jsonl", *, listed=True):
        tags, listing = tmp_path / name, tmp_path / f"{name}.rows.parquet" if listed else None
        write_tags(rows, tags, SEGMENTS)
        request = ManifestRequest(settings, tmp_path / "m.json", listing)
        found = rank_tags(tags, ASKED, wanted=request.wanted)
        return make_manifest(tags, tmp_path / "m.json", found, ASKED, request), listing

    return rank


def changed(row, **response):
    return dataclasses.replace(row, response=dataclasses.replace(row.response, **response))


def told(before, after):
    """Give the changes by kind, from the listings where both have one."""
    (old, old_rows), (new, new_rows) = before, after
    rows = None if old_rows is None or new_rows is None else compare_listings(old_rows, new_rows)
    return {change.kind: change.sentence for change in changes_between(old, new, rows)}


@pytest.mark.parametrize("name", ["again.jsonl", "again.parquet", "again.csv"])
def test_the_same_rows_in_any_format_are_the_same(ranked, name):
    for listed in (True, False):
        first = ranked(ROWS, listed=listed)
        assert told(first, ranked(list(reversed(ROWS)), name, listed=listed)) == {}
        assert first[0].responses.rows == len(ROWS)
        assert [part.model for part in first[0].models] == ["reason-codes/1"]


TAGGED = next(
    place
    for place, row in enumerate(ROWS)
    if row.status == "tagged" and row.response.score == 0 and row.response.weight > 1
)
CHANGES = {
    "added": lambda rows: [*rows, changed(rows[0], response_id="new", score=None)],
    "removed": lambda rows: [row for place, row in enumerate(rows) if place != TAGGED],
    "text": lambda rows: [
        changed(rows[0], comment="Quite another.") if rows[0].response.comment else rows[0],
        *rows[1:],
    ],
    "tags": lambda rows: [
        dataclasses.replace(row, tags=(Tag("flat", "positive", 0.9),)) if place == TAGGED else row
        for place, row in enumerate(rows)
    ],
    "answer": lambda rows: [
        changed(row, score=10.0) if place == TAGGED else row for place, row in enumerate(rows)
    ],
    "model": lambda rows: [dataclasses.replace(row, model="reason-codes/2") for row in rows],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_change_is_named(ranked, kind):
    before = [row for row in ROWS if row.response.comment] if kind == "text" else ROWS
    first, second = ranked(before), ranked(CHANGES[kind](before), "later.jsonl")
    found = told(first, second)
    moves = {"removed", "tags", "answer", "added"}
    assert found.keys() - {"figures"} == {kind}
    assert ("figures" in found) == (kind in moves)
    if kind != "model":
        assert "1 response" in found[kind]
        assert "'" in found[kind]
    else:
        assert "read by reason-codes/2, taxonomy 1 (" in found[kind]


def test_a_response_that_another_model_read_is_named_where_the_models_are_the_same(ranked):
    read = [dataclasses.replace(row, model=f"m/{place % 2}") for place, row in enumerate(ROWS)]
    swapped = [
        dataclasses.replace(row, model=f"m/{(place + (place < 2)) % 2}") for place, row in enumerate(ROWS)
    ]
    found = told(ranked(read), ranked(swapped, "later.jsonl"))
    assert found == {
        "model": "2 responses were read by another model or version of the taxonomy ('r0', 'r1')."
    }


def test_figures_that_moved_are_said(ranked):
    found = told(ranked(ROWS), ranked(CHANGES["answer"](ROWS), "later.jsonl"))
    assert "the metric is" in found["figures"]
    assert "points and had lost" in found["figures"]


def test_without_a_listing_the_sums_tell_what_kind_of_thing_changed(ranked):
    first = ranked(ROWS, listed=False)
    assert told(first, ranked(CHANGES["tags"](ROWS), listed=False)).keys() == {"figures", "tags"}
    assert told(first, ranked(CHANGES["answer"](ROWS), listed=False)).keys() == {"figures", "answer"}
    assert told(first, ranked(CHANGES["removed"](ROWS), listed=False)).keys() == {"figures", "rows"}
    assert told(first, ranked(CHANGES["model"](ROWS), listed=False)).keys() == {"model"}
    assert "--list-rows" in told(first, ranked(CHANGES["tags"](ROWS), listed=False))["tags"]


def test_another_key_and_another_program_are_remarks(ranked):
    manifest, _ = ranked(ROWS, listed=False)
    other = manifest.model_copy(
        update={
            "responses": manifest.responses.model_copy(update={"key": "0" * 16, "text": "1"}),
            "code": manifest.code.model_copy(update={"version": "9.9"}),
        }
    )
    found = changes_between(manifest, other)
    assert [change.kind for change in found] == ["key", "code"]
    assert {change.kind for change in found} <= set(REMARKS)
    assert "9.9" in found[1].sentence


def test_a_manifest_reads_back_equal_and_holds_no_comment(ranked, tmp_path):
    manifest, _ = ranked(ROWS)
    text = json.dumps(manifest.to_dict())
    (tmp_path / "m.json").write_text(text)
    assert read_manifest(tmp_path / "m.json") == manifest
    (tmp_path / "report.json").write_text(json.dumps({"rows": [], "manifest": manifest.to_dict()}))
    assert read_manifest(tmp_path / "report.json") == manifest
    assert "comment 1" not in text
    assert (tmp_path / "home" / "manifest.key").read_text().strip() not in text


def test_paths_are_told_from_where_the_manifest_lies(ranked, tmp_path):
    manifest, _ = ranked(ROWS)
    assert (manifest.tags.path, manifest.responses.listing.path) == ("tags.jsonl", "tags.jsonl.rows.parquet")
    elsewhere = manifest.moved(tmp_path / "m.json", tmp_path / "kept" / "m.json")
    assert (elsewhere.tags.path, elsewhere.audit) == ("../tags.jsonl", None)
    assert elsewhere.moved(tmp_path / "kept" / "m.json", tmp_path / "m.json") == manifest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"manifest": {}}', '{"format": "whyscore-manifest/9"}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match="holds no manifest"):
        read_manifest(tmp_path / "m.json")
    with pytest.raises(NotFoundError):
        read_manifest(tmp_path / "none.json")


def test_rounding_error_changes_no_digest_and_a_figure_does():
    ranking = rank_root_causes(random_responses(5, 200))
    row = ranking.rows[0]
    nearly = dataclasses.replace(
        ranking,
        total_check=1e-15,
        notes=(),
        rows=(dataclasses.replace(row, points_lost=row.points_lost * (1 + 1e-14)), *ranking.rows[1:]),
    )
    other = dataclasses.replace(
        ranking, rows=(dataclasses.replace(row, mentions=row.mentions + 1), *ranking.rows[1:])
    )
    first = figures_of(ranking, {})
    assert figures_of(nearly, {}) == first
    assert figures_of(other, {}).sha256 != first.sha256
    assert figures_of(ranking, {"x": ranking}).sha256 != first.sha256
    assert first.points_lost.keys() == {cause.code for cause in (*ranking.rows, *ranking.buckets)}


def test_thresholds_of_a_registered_model_are_kept(trained_home, tmp_path):
    from data.row_digests import RowDigests
    from model.manifest import models_of

    digests = RowDigests("k", 3, {}, {("reason-codes/1", 1): 2, (None, None): 1, ("folder", 1): 0})
    found = {part.model: part for part in models_of(digests, None, trained_home)}
    assert found["reason-codes/1"].thresholds["billing.charge"].keys() == {"negative", "neutral", "positive"}
    assert found[None].thresholds is found["folder"].thresholds is None
    assert models_of(digests, None, Settings(home=tmp_path))[0].thresholds is None
    assert Manifest.model_fields["models"]


def test_the_key_is_asked_for_by_the_request(tmp_path):
    key = tmp_path / "shared.key"
    key.write_text("ab" * 16 + "\n")
    wanted = ManifestRequest(Settings(home=tmp_path, manifest_key=key)).wanted
    assert wanted == DigestsWanted(DigestKey("ab" * 16))
