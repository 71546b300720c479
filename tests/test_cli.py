"""The public commands, end to end, on the tiny model."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.store import Store
from data.tags import read_tags
from data.webhook_outbox import Outbox
from tests.figures import assert_same

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "answers.csv"
    lines = ["Response ID,Score,Why?,Date,Shop"]
    for i in range(120):
        comment = ("so the overcharged. then it was", "my the queue. it was so", "it was so very", "")[i % 4]
        lines.append(
            f"{i},{(3, 7, 9, 10)[i % 4]},{comment},2026-04-{i % 28 + 1:02},{'North' if i % 3 else 'Coast'}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


MAP = ("--map", "comment=Why?", "--map", "responded_at=Date")


def test_from_answers_to_ranked_causes(whyscore, answers, trained_home, tmp_path):
    code, out, err = whyscore("tag", answers, "-o", "tags.jsonl", *MAP, home=trained_home.home)
    assert (code, out) == (0, "")
    assert "120 responses tagged by reason-codes/1" in err
    rows = list(read_tags(tmp_path / "tags.jsonl"))
    assert {tag.code for row in rows for tag in row.tags} == {"billing.charge", "support.reach"}
    assert rows[0].tags[0].evidence[0].text == "the overcharged"

    code, out, _ = whyscore("rank", "tags.jsonl", "--json")
    ranking = json.loads(out)
    assert code == 0
    parts = [row["points_lost"] for row in [*ranking["rows"], *ranking["buckets"].values()]]
    assert sum(parts) == pytest.approx(100 - ranking["metric"]["value"], abs=1e-9)
    assert [row["code"] for row in ranking["rows"]] == ["billing.charge", "support.reach"]

    for ending in ("json", "csv", "html"):
        code, out, err = whyscore("rank", "tags.jsonl", "--by", "Shop", "-o", f"report.{ending}")
        assert code == 0
        assert "billing.charge" in out
        shown = "Charge" if ending == "html" else "billing.charge"
        assert shown in (tmp_path / f"report.{ending}").read_text(encoding="utf-8")
    assert "Shop = Coast" in out


def test_operating_points_trade_tags_for_right_ones(whyscore, answers, trained_home, tmp_path):
    counts, names = {}, {}
    for point in ("high_precision", "balanced", "high_recall"):
        run = ("tag", answers, "-o", f"{point}.jsonl", *MAP, "--operating-point", point, "--json")
        code, out, _ = whyscore(*run, home=trained_home.home)
        assert code == 0
        assert json.loads(out)["operating_point"] == point
        rows = list(read_tags(tmp_path / f"{point}.jsonl"))
        counts[point] = sum(len(row.tags) for row in rows)
        (names[point],) = {row.model for row in rows}
    assert counts["high_precision"] <= counts["balanced"] <= counts["high_recall"]
    assert names["balanced"] == "reason-codes/1"
    assert names["high_recall"] == "reason-codes/1@high_recall"


def test_tags_as_csv_and_parquet_rank_alike(whyscore, answers, trained_home):
    rankings = []
    for ending in ("jsonl", "csv", "parquet"):
        assert whyscore("tag", answers, "-o", f"t.{ending}", *MAP, home=trained_home.home)[0] == 0
        rankings.append(json.loads(whyscore("rank", f"t.{ending}", "--by", "Shop", "--json")[1]))
    assert rankings[0] == rankings[1]
    assert_same(rankings[0], rankings[2])


def test_a_file_without_scores_or_rows_is_said(whyscore, trained_home, tmp_path):
    path, output = tmp_path / "answers.csv", tmp_path / "tags.jsonl"
    path.write_text("response_id,scor,comment\n1,3,billed again\n")
    code, _, err = whyscore("tag", path, "-o", output, home=trained_home.home)
    assert code == 0
    assert "none of them has a score" in err
    assert "--map score=NAME" in err
    assert whyscore("rank", output)[0] == 2
    path.write_text("response_id,score,comment\n")
    code, _, err = whyscore("tag", path, "-o", output, home=trained_home.home)
    assert (code, "the file holds no rows" in err, "none of them" in err) == (0, True, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("Why?", "Wy?"), ["answers.csv", "'Why?'", "did you mean 'Wy?'"]),
        (("0,3,", "0,13,"), ["answers.csv, row 2, column 'Score'", "13 is outside the NPS scale 0-10"]),
        (("2026-04-03", "3.4.26"), ["row 4, column 'Date'", "--date-format"]),
    ],
)
def test_a_typo_is_one_sentence(whyscore, answers, trained_home, tmp_path, change, words):
    text = answers.read_text(encoding="utf-8").replace(*change, 1)
    answers.write_text(text, encoding="utf-8")
    code, out, err = whyscore("tag", answers, "-o", "tags.jsonl", *MAP, home=trained_home.home)
    assert (code, out) == (2, "")
    assert err.startswith("whyscore: ")
    assert len(err.strip().splitlines()) == 1
    assert all(word in err for word in words)
    assert not (tmp_path / "tags.jsonl").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("tag", "nothing.csv", "-o", "t.jsonl"),
        ("rank", "nothing.jsonl"),
        ("rank", "answers.csv"),
        ("topics", "nothing.csv"),
        ("train", "nothing.jsonl", "--taxonomy", "nothing.yaml"),
        ("evaluate", "nothing.jsonl"),
        ("models", "promote", "7"),
        ("models", "challenge", "7"),
        ("models", "challenge"),
        ("models", "challenge", "7", "--none"),
        ("train", "a.jsonl", "--taxonomy", "t.yaml", "--from", "models:/reason-codes/1", "--epochs", "2"),
        ("models", "rollback"),
        ("models", "compare", "1", "2"),
        ("rank", "answers.csv", "--scale", "stars"),
        ("tag", "answers.csv", "-o", "t.jsonl", "--map", "comment"),
        ("tag", "answers.csv", "-o", "t.jsonl", "--operating-point", "best"),
        ("serve", "--host", "0.0.0.0"),
        ("demo", "--stop"),
        ("frobnicate",),
    ],
)
def test_wrong_use_ends_with_2_and_no_traceback(whyscore, answers, arguments):
    code, out, err = whyscore(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.strip()


def test_a_wrong_setting_is_named(whyscore, monkeypatch):
    monkeypatch.setenv("WHYSCORE_MAX_TOKENS", "lots")
    code, _, err = whyscore("rank", "x.jsonl")
    assert code == 2
    assert "WHYSCORE_MAX_TOKENS" in err


def test_train_evaluate_compare_promote_and_roll_back(whyscore, files, tiny_encoder, monkeypatch, tmp_path):
    monkeypatch.setenv("WHYSCORE_MAX_TOKENS", "64")
    store = Store.open(f"sqlite:///{tmp_path / 'home' / 'store.sqlite'}")
    outbox = Outbox(store)
    outbox.subscribe("https://example.com/hook", ["model.promoted"], "whsec_x", "", datetime.now(UTC))
    train = (
        "train",
        files / "annotations.jsonl",
        "--taxonomy",
        files / "taxonomy.yaml",
        "--encoder",
        tiny_encoder,
    )
    code, out, _ = whyscore(*train, "--epochs", "1", "--json")
    first = json.loads(out)
    assert code == 0
    assert first["model"] == "models:/reason-codes/1"
    assert first["champion"]
    assert first["training"]["best_epoch"] == 1  # the last: one was asked for, however few the comments are
    assert len(outbox.deliveries()[0]) == 1  # also a training tells of the champion that it made
    assert whyscore(*train, "--epochs", "1", "--seed", "1", "--no-promote")[0] == 0
    listed = json.loads(whyscore("models", "list", "--json")[1])
    assert [(v["version"], v["champion"]) for v in listed] == [(2, False), (1, True)]
    assert json.loads(whyscore("models", "challenge", "2", "--json")[1]) == {"challenger": 2, "before": None}
    assert "challenger" in whyscore("models", "list")[1]
    assert "was 2" in whyscore("models", "challenge", "--none")[2]
    assert not any(v["challenger"] for v in json.loads(whyscore("models", "list", "--json")[1]))
    assert "reason-codes/2" in whyscore("models", "promote", "2")[2]
    assert json.loads(whyscore("models", "rollback", "--json")[1]) == {"champion": 1, "before": 2}
    assert len(outbox.deliveries()[0]) == 3
    store.close()
    compared = json.loads(whyscore("models", "compare", "1", "2", "--json")[1])
    assert compared["f1"]["pair_micro_f1"]["a"] == first["evaluation"]["pair_micro_f1"]
    evaluated = json.loads(whyscore("evaluate", files / "annotations.jsonl", "--json")[1])
    assert evaluated["model"] == "reason-codes/1"
    assert evaluated["left_out_as_seen"] + evaluated["comments"] == 600


def test_an_unknown_code_in_annotations_is_named(whyscore, files, tmp_path):
    lines = (files / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
    lines[4] = json.dumps({"response_id": "x", "comment": "x", "codes": [{"code": "billing.chrage"}]})
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    code, _, err = whyscore("train", "a.jsonl", "--taxonomy", files / "taxonomy.yaml")
    assert code == 2
    assert "a.jsonl, row 5, column 'codes'" in err
    assert "billing.chrage" in err


def test_help_and_version(whyscore):
    code, out, _ = whyscore("--help")
    assert code == 0
    for command in ("demo", "train", "evaluate", "tag", "rank", "topics", "models", "serve"):
        assert command in out
    assert whyscore("--version")[1].startswith("whyscore 0.")
