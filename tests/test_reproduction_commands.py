"""``whyscore rank --manifest`` and ``--reproduce``, end to end."""

import dataclasses
import json

import pytest

from data.tags import write_tags
from tests.figures import assert_same
from tests.random_tags import SEGMENTS, random_tags

ROWS = list({row.response.response_id: row for row in random_tags(6, 120)}.values())
LATER = [
    dataclasses.replace(ROWS[0], response=dataclasses.replace(ROWS[0].response, comment="New.")),
    *ROWS[1:],
]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("model.rank_intervals.DRAWS", 200)


@pytest.fixture(params=["tags.jsonl", "tags.parquet"])
def tags(request, tmp_path):
    write_tags(ROWS, tmp_path / request.param, SEGMENTS)
    return tmp_path / request.param


def test_a_ranking_is_reproduced_from_its_manifest(whyscore, tags, tmp_path):
    code, out, _ = whyscore(
        "rank", tags.name, "--by", "plan", "--manifest", "m.json", "--list-rows", "-o", "r.json", "--json"
    )
    assert code == 0
    manifest, report = (json.loads((tmp_path / name).read_text()) for name in ("m.json", "r.json"))
    assert report.pop("manifest") == manifest
    assert_same(report, json.loads(out))
    assert manifest["settings"] == {
        "scale": "nps",
        "by": "plan",
        "window": None,
        "codes": None,
        "level": 0.95,
        "seed": 0,
    }
    assert manifest["responses"]["rows"] == len(ROWS)
    assert manifest["responses"]["listing"]["path"] == "m.rows.parquet"
    assert (manifest["code"]["commit"] is None) == (manifest["code"]["changed"] is None)
    for name in ("m.json", "r.json"):
        code, out, err = whyscore("rank", "--reproduce", name)
        assert (code, out) == (0, "")
        assert err.strip() == "The same figures from the same responses."


def test_what_has_changed_is_said_and_ends_with_1(whyscore, tags, tmp_path):
    assert whyscore("rank", tags.name, "--manifest", "m.json", "--list-rows")[0] == 0
    write_tags(LATER, tags, SEGMENTS)
    code, out, _ = whyscore("rank", "--reproduce", "m.json", "--json")
    assert code == 1
    assert json.loads(out) == {
        "reproduced": False,
        "changes": [
            {
                "kind": "text",
                "sentence": f"The comment of 1 response was edited ('{ROWS[0].response.response_id}').",
            }
        ],
    }
    assert "New." not in out


def test_a_moved_file_is_named_and_found_where_it_is_now(whyscore, tags, tmp_path):
    assert whyscore("rank", tags.name, "--manifest", "m.json")[0] == 0
    (tmp_path / "kept").mkdir()
    moved = tags.rename(tmp_path / "kept" / tags.name)
    code, out, err = whyscore("rank", "--reproduce", "m.json")
    assert (code, out) == (1, "")
    assert (
        f"The tags file {tags} is not there; if it was moved, say: whyscore rank FILE --reproduce m.json."
        in " ".join(err.split())
    )
    assert whyscore("rank", moved, "--reproduce", "m.json")[0] == 0


def test_an_audit_that_is_gone_is_named(whyscore, tags, tmp_path):
    assert whyscore("rank", tags.name, "--manifest", "m.json")[0] == 0
    kept = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.json").write_text(json.dumps(kept | {"audit": {"path": "audit.jsonl", "bytes": 1}}))
    code, out, _ = whyscore("rank", "--reproduce", "m.json", "--json")
    assert code == 1
    assert [change["kind"] for change in json.loads(out)["changes"]] == ["file"]
    assert "The audit file" in out


def test_the_window_and_the_taxonomy_are_kept(whyscore, tags, tmp_path):
    (tmp_path / "t.yaml").write_text("name: t\nversion: 1\ncodes: [{id: never.heard}, {id: flat}]\n")
    command = ("rank", tags.name, "--window", "2026-02", "--taxonomy", "t.yaml", "--manifest", "m.json")
    assert whyscore(*command)[0] == 0
    kept = json.loads((tmp_path / "m.json").read_text())
    assert (kept["settings"]["window"], kept["settings"]["codes"]) == ("2026-02", ["never.heard", "flat"])
    assert 0 < kept["responses"]["rows"] < len(ROWS)
    (tmp_path / "t.yaml").unlink()
    assert whyscore("rank", "--reproduce", "m.json")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a tags file"),
        (("--reproduce", "none.json"), "there is no such file"),
        (("--reproduce", "tags.jsonl"), "holds no manifest"),
        (("tags.jsonl", "--list-rows"), "say --manifest"),
        (("tags.jsonl", "--list-rows", "-o", "r.csv"), "say --manifest"),
        (("tags.jsonl", "--manifest", "tags.jsonl"), "would overwrite"),
        (("tags.jsonl", "--manifest", "no/m.json"), "cannot be written"),
        (("--reproduce", "m.json", "--by", "plan"), "leave the others out"),
    ],
)
def test_wrong_use_is_a_sentence(whyscore, tmp_path, arguments, words):
    write_tags(ROWS[:20], tmp_path / "tags.jsonl")
    code, out, err = whyscore("rank", *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
