"""``audit sample``, ``audit import`` and ``rank --audit``, end to end."""

import csv
import json

import openpyxl
import pytest
from pptx import Presentation

from data.tags import write_tags
from data.text import text_hash
from model.audit_check import SEEN_TEXTS
from model.description import DESCRIPTION
from tests.audited_survey import TAXONOMY_TEXT, said_of, survey


@pytest.fixture(scope="module")
def survey_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    write_tags(survey(900), folder / "tags.jsonl")
    (folder / "taxonomy.yaml").write_text(TAXONOMY_TEXT, encoding="utf-8")
    return folder


@pytest.fixture
def place(tmp_path, survey_files):
    for name in ("tags.jsonl", "taxonomy.yaml"):
        (tmp_path / name).write_bytes((survey_files / name).read_bytes())
    return tmp_path


def label(path, count=None):
    """Fill the codes of a spreadsheet by the words of its comments."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:count]:
        row["codes"] = "; ".join(said_of(row["comment"])) or "none"
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(rows)


IMPORT = ("audit", "import", "audit.csv", "--taxonomy", "taxonomy.yaml")


def test_from_a_sample_to_a_corrected_ranking(whyscore, place):
    code, out, err = whyscore("audit", "sample", "tags.jsonl", "--size", "400", "-o", "audit.csv")
    assert (code, out) == (0, "")
    assert "400 of" in err
    label(place / "audit.csv")
    code, out, err = whyscore(*IMPORT, "-o", "audit.jsonl")
    assert (code, out) == (0, "")
    assert "400 responses are labelled and 0 are not -> audit.jsonl" in err
    code, out, err = whyscore("rank", "tags.jsonl", "--audit", "audit.jsonl")
    assert code == 0
    assert "model alone" in out
    assert "corrected" in out
    assert "by an audit of 400 of the comments" in " ".join(err.split())
    assert "could not be checked" in err
    ranking = json.loads(whyscore("rank", "tags.jsonl", "--audit", "audit.jsonl", "--json")[1])
    lost = [row["points_lost"] for row in [*ranking["rows"], *ranking["buckets"].values()]]
    assert sum(lost) == pytest.approx(100 - ranking["metric"]["value"], abs=1e-9)
    assert ranking["correction"]["status"] == "corrected"
    assert ranking["rows"][0]["correction"]["status"] == "corrected"
    plain = json.loads(whyscore("rank", "tags.jsonl", "--json")[1])
    assert plain["correction"]["reason"] == "no_audit"
    alone = {row["code"]: row["points_lost"] for row in plain["rows"]}
    for row in ranking["rows"]:
        assert row["correction"]["uncorrected"]["points_lost"] == pytest.approx(alone[row["code"]])
    assert ranking["by_model_alone"]["figures"] == ["impact", "mentions"]
    assert "by_model_alone" not in plain
    what_an_audit_leaves_is_said(whyscore, place)


def what_an_audit_leaves_is_said(whyscore, place):
    """Figures over time, findings, cells and adjusted effects are by the model alone, and must say so."""
    rank = ("rank", "tags.jsonl", "--audit", "audit.jsonl", "--by", "region", "--adjusted")
    code, out, _ = whyscore(*rank, "--json")
    found = json.loads(out)["by_model_alone"]
    assert (code, found["figures"]) == (0, ["cells", "adjusted", "impact", "mentions"])
    assert (
        "shrunken figures, adjusted effects, impacts and mentions are by the model's codes"
        in (found["explanation"])
    )
    code, _, err = whyscore(*rank, "-o", "audited.html")
    page = (place / "audited.html").read_text(encoding="utf-8")
    assert code == 0
    assert "The audit corrects points lost in the ranking alone: adjusted effects" in " ".join(err.split())
    said = "The audit corrects points lost in the ranking alone: causes over time, what stands out, shrunken"
    assert page.count(said) >= 3  # over time, beside the cells, and with all notes
    whyscore("rank", "tags.jsonl", "-o", "plain.html")
    assert said[:50] not in (place / "plain.html").read_text(encoding="utf-8")
    for ending in ("xlsx", "pptx"):
        assert whyscore(*rank, "-o", f"audited.{ending}")[0] == 0
    summary = openpyxl.load_workbook(place / "audited.xlsx")["Summary"]
    assert [row[1].value for row in summary.iter_rows() if row[0].value == "not corrected"][0].startswith(
        said
    )
    slides = [shape for slide in Presentation(place / "audited.pptx").slides for shape in slide.shapes]
    words = " ".join(shape.text_frame.text for shape in slides if shape.has_text_frame)
    assert "The audit corrects points lost in the ranking alone" in words


def test_an_unfinished_audit_is_one_sentence_or_reweighted_into_the_home_folder(whyscore, place):
    whyscore("audit", "sample", "tags.jsonl", "--size", "400", "-o", "audit.csv", "--stratify", "uniform")
    label(place / "audit.csv", count=350)
    code, out, err = whyscore(*IMPORT)
    assert (code, out) == (2, "")
    assert "350 of 400 drawn rows are labelled and 50 are not" in err
    code, out, _ = whyscore(*IMPORT, "--reweight", "--json")
    found = json.loads(out)
    assert (code, found["labelled"], found["unlabelled"]) == (0, 350, 50)
    assert found["positives"]["bill.late"] > 30
    assert found["output"].startswith(str(place / "home" / "audits"))
    err = whyscore("rank", "tags.jsonl", "--audit", found["output"])[2]
    assert "50 of 400 drawn responses were not labelled" in " ".join(err.split())


def test_a_window_is_audited_and_ranked_alike(whyscore, place):
    window = ("--window", "2026-04")
    code, out, _ = whyscore(
        "audit", "sample", "tags.jsonl", "--size", "330", *window, "-o", "audit.csv", "--json"
    )
    drawn = json.loads(out)
    assert (code, drawn["drawn"]) == (0, 330)
    assert drawn["frame_size"] < 400
    label(place / "audit.csv")
    whyscore(*IMPORT, "-o", "audit.jsonl")
    rank = ("rank", "tags.jsonl", "--audit", "audit.jsonl", "--json")
    assert json.loads(whyscore(*rank, *window)[1])["correction"]["status"] == "corrected"
    assert json.loads(whyscore(*rank)[1])["correction"]["reason"] == "other_responses"


def labelled_audit(whyscore, place, model, home=None):
    """Audit tags of a model whose taxonomy is at version 1."""
    write_tags(survey(900, model=model, version=1), place / "tags.jsonl")
    (place / "taxonomy.yaml").write_text(TAXONOMY_TEXT.replace("version: 2", "version: 1"), encoding="utf-8")
    whyscore("audit", "sample", "tags.jsonl", "--size", "400", "-o", "audit.csv", home=home)
    label(place / "audit.csv")
    whyscore(*IMPORT, "-o", "audit.jsonl")
    lines = (place / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["comment"] for line in lines]


def test_a_model_that_was_trained_on_the_audit_corrects_nothing(whyscore, place):
    comments = labelled_audit(whyscore, place, "shop-model")
    folder = place / "shop-model"
    folder.mkdir()
    (folder / DESCRIPTION).write_text("{}")
    rank = ("rank", "tags.jsonl", "--audit", "audit.jsonl", "--model", folder)
    (folder / SEEN_TEXTS).write_text("0123456789abcdef\n")
    code, out, err = whyscore(*rank)
    assert (code, "model alone" in out, "could not be checked" in err) == (0, True, False)
    (folder / SEEN_TEXTS).write_text("\n".join(text_hash(comment)[:16] for comment in comments))
    code, out, err = whyscore(*rank)
    assert (code, "model alone" in out) == (0, False)
    assert "trained on 400 of the 400 audited comments" in " ".join(err.split())
    folder.rename(place / "other-model")
    code, out, err = whyscore(*rank[:-1], place / "other-model")
    assert (code, out) == (2, "")
    assert "of the model 'shop-model', and --model is 'other-model-" in err


def test_the_registry_is_asked_for_the_model_of_the_tags(whyscore, place, trained_home):
    from training.release import SEEN

    assert SEEN == SEEN_TEXTS
    labelled_audit(whyscore, place, "reason-codes/1", trained_home.home)
    code, out, err = whyscore("rank", "tags.jsonl", "--audit", "audit.jsonl")
    assert (code, "model alone" in out, "could not be checked" in err) == (0, True, False)
    code, _, err = whyscore("audit", "import", "audit.csv", "-o", "again.jsonl")
    assert code == 2
    assert "the taxonomy has no code" in err  # it took that of the model, which knows other codes


def test_without_a_model_the_taxonomy_must_be_said(whyscore, place):
    whyscore("audit", "sample", "tags.jsonl", "--size", "40", "-o", "audit.csv")
    code, _, err = whyscore("audit", "import", "audit.csv", "-o", "audit.jsonl")
    assert code == 2
    assert "say --taxonomy" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("audit", "sample", "tags.jsonl", "--stratify", "code", "-o", "a.csv"), "--stratify is one of"),
        (("audit", "sample", "tags.jsonl", "-o", "taxonomy.yaml"), "it may hold labels"),
        (("audit", "sample", "nothing.jsonl", "-o", "a.csv"), "nothing.jsonl"),
        (("audit", "sample", "tags.jsonl", "--window", "soon", "-o", "a.csv"), "is not a period"),
        (("audit", "sample", "tags.jsonl", "--size", "3", "-o", "a.csv"), "below the number of strata"),
        (("audit", "import", "nothing.csv"), "no such file"),
        (("audit", "import", "tags.jsonl"), "no audit drew this row"),
        (("rank", "tags.jsonl", "--audit", "nothing.jsonl"), "no such file"),
        (("rank", "tags.jsonl", "--audit", "tags.jsonl"), "no audit drew this row"),
        (("rank", "tags.jsonl", "--audit", "tags.csv"), "whyscore audit import"),
    ],
)
def test_wrong_use_is_one_sentence(whyscore, place, arguments, words):
    (place / "tags.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code, out, err = whyscore(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (place / "a.csv").exists()


def test_labels_are_not_overwritten(whyscore, place):
    whyscore("audit", "sample", "tags.jsonl", "--size", "30", "-o", "audit.jsonl")
    before = (place / "audit.jsonl").read_bytes()
    again = whyscore("audit", "sample", "tags.jsonl", "--size", "30", "-o", "audit.jsonl")
    onto = whyscore("audit", "import", "audit.jsonl", "-o", "audit.jsonl", "--taxonomy", "taxonomy.yaml")
    assert (again[0], onto[0]) == (2, 2)
    assert (place / "audit.jsonl").read_bytes() == before
