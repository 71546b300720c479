import csv
import json

import pytest

from data.audit_labels import COLUMNS, import_labels, write_sample
from data.audits import Frame, log_path, read_audit, read_log, write_audit, write_log
from data.errors import InputError, NotFoundError
from data.scale import NPS
from data.tags import write_tags
from data.taxonomy import parse_taxonomy
from model.audit_draw import draw_from_tags
from model.periods import parse_span
from tests.audited_survey import TAXONOMY, TAXONOMY_TEXT, said_of, survey

FORMULA = '=HYPERLINK("http://evil.example";"x")'


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    path = tmp_path_factory.mktemp("tags") / "tags.jsonl"
    write_tags(survey(200), path)
    return path


@pytest.fixture
def drawn(tags, tmp_path):
    """A drawn audit of 60, its log in the home folder ``home``."""
    found = draw_from_tags(tags, 60, scale=NPS, stratify="uniform")
    write_log(found.log, tmp_path / "home")
    return found


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def labelled_lines(drawn, path, count=None):
    """Write the sample and label its first rows."""
    write_sample(drawn.log, drawn.comments, path)
    records = lines_of(path)
    for record in records[:count]:
        record["codes"] = [{"code": code} for code in said_of(record["comment"])]
        record["annotator"] = "ana"
    write_lines(path, records)
    return records


def labelled_sheet(drawn, path, count=None):
    write_sample(drawn.log, drawn.comments, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:count]:
        row["codes"] = "; ".join(said_of(row["comment"])) or "none"
    write_sheet(path, rows)
    return rows


def write_sheet(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, COLUMNS)
        sheet.writeheader()
        sheet.writerows(rows)


def test_a_sample_shows_comments_and_nothing_of_what_the_model_says(drawn, tmp_path):
    for name in ("sample.jsonl", "sample.csv"):
        write_sample(drawn.log, drawn.comments, tmp_path / name)
    with (tmp_path / "sample.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            assert tuple(row) == COLUMNS
            assert row["codes"] == row["annotator"] == ""
    for record in lines_of(tmp_path / "sample.jsonl"):
        assert record["codes"] is None
        assert set(record) == {"response_id", "comment", "taxonomy_version", "codes", "audit"}
        assert set(record["audit"]) == {
            *("id", "item", "inclusion_probability", "stratum", "model", "taxonomy_version", "drawn_at"),
            *("stratify", "seed", "drawn", "frame_size", "frame_digest"),
        }


def test_a_stratified_sample_names_its_strata_by_numbers(tags, tmp_path):
    found = draw_from_tags(tags, 60, scale=NPS)
    write_sample(found.log, found.comments, tmp_path / "sample.jsonl")
    for record in lines_of(tmp_path / "sample.jsonl"):
        assert isinstance(record["audit"]["stratum"], int)


def test_labels_come_back_from_lines_and_from_a_spreadsheet(drawn, tmp_path):
    labelled_lines(drawn, tmp_path / "a.jsonl")
    labelled_sheet(drawn, tmp_path / "b.csv")
    found = [
        import_labels([tmp_path / name], TAXONOMY, tmp_path / "home").audit for name in ("a.jsonl", "b.csv")
    ]
    assert found[0].chances == found[1].chances
    assert found[0].rows[0].annotation.annotator == "ana"
    assert found[0].design == drawn.log.design
    for row, comment in zip(found[0].rows, drawn.comments, strict=True):
        assert sorted(row.causes) == sorted(said_of(comment))
        assert row.response_rate == 1.0


def test_an_imported_audit_reads_back_equal(drawn, tmp_path):
    labelled_lines(drawn, tmp_path / "a.jsonl")
    audit = import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home").audit
    write_audit(audit, tmp_path / "deep" / "audit.jsonl")
    assert read_audit(tmp_path / "deep" / "audit.jsonl") == audit


def test_the_log_reads_back_and_holds_no_comment(drawn, tmp_path):
    assert read_log(drawn.log.design.id, tmp_path / "home") == drawn.log
    text = log_path(tmp_path / "home", drawn.log.design.id).read_text(encoding="utf-8")
    assert "No. " not in text


def test_a_spreadsheet_runs_no_formula(drawn, tmp_path):
    comments = (FORMULA, *drawn.comments[1:])
    write_sample(drawn.log, comments, tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.DictReader(file))["comment"] == f"'{FORMULA}"


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("bill.late", {("bill.late", "negative")}),
        (" bill.late ;staff.rude:positive", {("bill.late", "negative"), ("staff.rude", "positive")}),
        ("bill.late (Neutral), bill.wrong", {("bill.late", "neutral"), ("bill.wrong", "negative")}),
        ("None", set()),
    ],
)
def test_a_cell_of_codes_says_what_applies(drawn, tmp_path, cell, labels):
    rows = labelled_sheet(drawn, tmp_path / "b.csv")
    rows[0]["codes"] = cell
    write_sheet(tmp_path / "b.csv", rows)
    first = import_labels([tmp_path / "b.csv"], TAXONOMY, tmp_path / "home").audit.rows[0]
    assert {(label.code, label.polarity) for label in first.annotation.labels} == labels
    assert first.causes == {code for code, polarity in labels if polarity != "positive"}


def test_copies_that_two_people_labelled_in_part_make_one_audit(drawn, tmp_path):
    rows = labelled_sheet(drawn, tmp_path / "b.csv")
    write_sheet(
        tmp_path / "one.csv", [row | {"codes": row["codes"] if i < 25 else ""} for i, row in enumerate(rows)]
    )
    write_sheet(tmp_path / "two.csv", rows[25:])
    found = import_labels([tmp_path / "one.csv", tmp_path / "two.csv"], TAXONOMY, tmp_path / "home")
    assert (len(found.audit.rows), found.unlabelled) == (60, 0)


def test_an_unfinished_audit_is_refused_or_reweighted_and_says_so(drawn, tmp_path):
    labelled_lines(drawn, tmp_path / "a.jsonl", count=40)
    with pytest.raises(InputError, match="40 of 60 drawn rows are labelled and 20 are not"):
        import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home")
    found = import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home", reweight=True)
    assert found.unlabelled == found.audit.unlabelled == 20
    frame = drawn.log.design.frame_size
    for row in found.audit.rows:
        assert row.probability == pytest.approx(40 / frame)
        assert row.response_rate == pytest.approx(40 / 60)


def test_a_stratum_without_any_label_is_refused(tags, tmp_path):
    found = draw_from_tags(tags, 60, scale=NPS)
    write_log(found.log, tmp_path / "home")
    records = labelled_lines(found, tmp_path / "a.jsonl")
    alone = records[0]["audit"]["stratum"]
    for record in records:
        record["codes"] = None if record["audit"]["stratum"] == alone else record["codes"]
    write_lines(tmp_path / "a.jsonl", records)
    with pytest.raises(InputError, match="strata have no labelled row"):
        import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home", reweight=True)


def without_audit(record):
    del record["audit"]


def a_pick(record):
    record["audit"] = {"score": 0.4}


def other_chance(record):
    record["audit"]["inclusion_probability"] /= 2


def unknown_item(record):
    record["audit"]["item"] = 4000


def other_text(record):
    record["comment"] = "Quite another comment"


def other_audit(record):
    record["audit"]["id"] = "0123456789ab"


def unknown_code(record):
    record["codes"] = [{"code": "bill.laet"}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_audit, "row 7, column 'audit': no audit drew this row"),
        (a_pick, "no audit drew this row"),
        (other_chance, "not the one that was drawn"),
        (unknown_item, "drew no item 4000"),
        (other_text, "not the comment that was drawn"),
        (other_audit, "of another audit"),
        (
            unknown_code,
            "row 7, column 'codes': the taxonomy has no code 'bill.laet' (did you mean 'bill.late'?)",
        ),
    ],
)
def test_what_no_audit_drew_or_was_changed_is_refused(drawn, tmp_path, change, words):
    records = labelled_lines(drawn, tmp_path / "a.jsonl")
    change(records[6])
    write_lines(tmp_path / "a.jsonl", records)
    with pytest.raises(InputError) as caught:
        import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home")
    assert words in str(caught.value)
    assert "Quite another" not in str(caught.value)


def test_a_column_sorted_by_itself_is_noticed(drawn, tmp_path):
    rows = labelled_sheet(drawn, tmp_path / "b.csv")
    comments = sorted(row["comment"] for row in rows)
    write_sheet(
        tmp_path / "b.csv", [row | {"comment": text} for row, text in zip(rows, comments, strict=True)]
    )
    with pytest.raises(InputError, match="sorted or edited in part"):
        import_labels([tmp_path / "b.csv"], TAXONOMY, tmp_path / "home")


def test_a_row_labelled_twice_is_refused(drawn, tmp_path):
    rows = labelled_sheet(drawn, tmp_path / "b.csv")
    write_sheet(tmp_path / "b.csv", [*rows, rows[3]])
    with pytest.raises(InputError, match=r"row 62, column 'codes': the response is labelled twice"):
        import_labels([tmp_path / "b.csv"], TAXONOMY, tmp_path / "home")


def test_none_beside_a_code_is_refused(drawn, tmp_path):
    rows = labelled_sheet(drawn, tmp_path / "b.csv")
    rows[0]["codes"] = "none; bill.late"
    write_sheet(tmp_path / "b.csv", rows)
    with pytest.raises(InputError, match="'none' stands beside a code"):
        import_labels([tmp_path / "b.csv"], TAXONOMY, tmp_path / "home")


def test_another_version_of_the_taxonomy_is_refused(drawn, tmp_path):
    labelled_lines(drawn, tmp_path / "a.jsonl")
    newer = parse_taxonomy(TAXONOMY_TEXT.replace("version: 2", "version: 3"))
    with pytest.raises(InputError, match="drawn under version 2"):
        import_labels([tmp_path / "a.jsonl"], newer, tmp_path / "home")


def test_nothing_labelled_or_no_log_or_no_file_is_said(drawn, tmp_path):
    write_sample(drawn.log, drawn.comments, tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="no row is labelled yet"):
        import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home")
    with pytest.raises(NotFoundError, match="no log of the audit"):
        import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "elsewhere")
    with pytest.raises(NotFoundError, match="no such file"):
        import_labels([tmp_path / "b.jsonl"], TAXONOMY, tmp_path / "home")
    with pytest.raises(InputError, match="jsonl, or as .csv"):
        write_sample(drawn.log, drawn.comments, tmp_path / "a.xlsx")


def test_a_ranking_takes_no_row_that_no_audit_drew(drawn, tmp_path):
    labelled_lines(drawn, tmp_path / "a.jsonl")
    audit = import_labels([tmp_path / "a.jsonl"], TAXONOMY, tmp_path / "home").audit
    write_audit(audit, tmp_path / "audit.jsonl")
    records = lines_of(tmp_path / "audit.jsonl")
    for change, words in ((without_audit, "no audit drew this row"), (other_audit, "of another audit")):
        changed = json.loads(json.dumps(records))
        change(changed[4])
        write_lines(tmp_path / "changed.jsonl", changed)
        with pytest.raises(InputError, match=words):
            read_audit(tmp_path / "changed.jsonl")
    write_lines(tmp_path / "twice.jsonl", [*records, records[0]])
    with pytest.raises(InputError, match="stands twice"):
        read_audit(tmp_path / "twice.jsonl")
    write_lines(tmp_path / "open.jsonl", [records[0] | {"codes": None}])
    with pytest.raises(InputError, match="not labelled"):
        read_audit(tmp_path / "open.jsonl")
    write_lines(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError):
        read_audit(tmp_path / "empty.jsonl")


def test_frames_add_up_in_any_order():
    whole = Frame.of(["a", "b", "c"])
    assert Frame.of(["c"]) + Frame.of(["b", "a"]) == whole == Frame.of(["b", "c", "a"])
    assert Frame.of(["a", "b", "d"]) != whole


def test_a_draw_is_of_one_window_one_model_and_one_version(tags, tmp_path):
    april = draw_from_tags(tags, 1000, scale=NPS, span=parse_span("2026-04"), stratify="uniform")
    days = {int(item.response_id[1:]) % 60 for item in april.log.items}
    assert days == set(range(30))
    rows = [*survey(30), *survey(30, model="reason-codes/5")]
    write_tags(rows, tmp_path / "mixed.jsonl")
    with pytest.raises(InputError, match="several models"):
        draw_from_tags(tmp_path / "mixed.jsonl", 10, scale=NPS)
