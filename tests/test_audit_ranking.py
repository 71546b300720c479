"""Rankings that an audit corrects, or does not and says why."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.annotations import Annotation, CodeLabel
from data.audits import Audit, AuditedResponse
from data.scale import NPS
from data.tags import write_tags
from data.text import text_hash
from model.audit_check import SEEN_TEXTS, AuditCheck, read_seen_texts, seen_texts_behind
from model.audit_draw import draw_from_tags
from model.audited_rows import AuditedRows
from model.cause_sums import CauseSums
from model.hierarchy import Hierarchy
from model.mentions import ScoredResponses
from model.root_causes import rank_by_segment, rank_from_sums, rank_root_causes
from tests.audited_survey import CODES, said_of, survey


def audit_of(path, size=500, stratify="score-and-code", seed=0):
    """Draw an audit and label it by the words of the comments."""
    drawn = draw_from_tags(path, size, scale=NPS, stratify=stratify, seed=seed)
    rows = [
        AuditedResponse(
            Annotation(item.response_id, comment, tuple(CodeLabel(code) for code in said_of(comment)), 2),
            item.item,
            item.inclusion_probability,
            item.stratum,
        )
        for item, comment in zip(drawn.log.items, drawn.comments, strict=True)
    ]
    return Audit(drawn.log.design, tuple(rows))


@pytest.fixture(scope="module")
def rows():
    return survey()


@pytest.fixture(scope="module")
def tags(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tags") / "tags.jsonl"
    write_tags(rows, path)
    return path


@pytest.fixture(scope="module")
def responses(rows):
    return ScoredResponses.from_tagged(rows, NPS)


@pytest.fixture(scope="module")
def audit(tags):
    return audit_of(tags)


@pytest.fixture(scope="module")
def truth(rows):
    """Give the ranking by what people say of every comment."""
    relabelled = [
        dataclasses.replace(
            row,
            status="no_comment" if row.response.comment is None else "uncoded",
            tags=(),
        )
        for row in rows
    ]
    scored = ScoredResponses.from_tagged(relabelled, NPS)
    pairs = [
        (i, CODES.index(code)) for i, row in enumerate(rows) for code in said_of(row.response.comment or "")
    ]
    return rank_root_causes(
        ScoredResponses.from_arrays(
            NPS, scored.score, CODES, tuple(zip(*pairs, strict=True)), commented=scored.commented
        )
    )


def by_code(ranking):
    return {row.code: row for row in (*ranking.rows, *ranking.buckets, *ranking.parents)}


def test_an_audit_corrects_towards_what_people_say(responses, audit, truth):
    plain, corrected = rank_root_causes(responses), rank_root_causes(responses, audit=audit)
    assert corrected.correction.status == "corrected"
    assert corrected.correction.audited == 500
    found, model, true = by_code(corrected), by_code(plain), by_code(truth)
    assert abs(corrected.total_check) < 1e-9
    for code in ("bill.late", "staff.rude", "uncoded", "bill"):
        row = found[code]
        assert row.low < true[code].points_lost < row.high
        assert (row.correction.status, row.correction.reason) == ("corrected", None)
        figure = row.correction.uncorrected
        assert figure.points_lost == pytest.approx(model[code].points_lost)
        assert (figure.low, figure.high) == pytest.approx((model[code].low, model[code].high))
        off = abs(model[code].points_lost - true[code].points_lost)
        assert abs(row.points_lost - true[code].points_lost) < off
        assert row.from_detractors + row.from_passives == pytest.approx(row.points_lost)
    assert found["no_comment"].points_lost == model["no_comment"].points_lost
    assert found["no_comment"].low == model["no_comment"].low
    assert (found["bill.late"].mentions, found["bill.late"].impact) == (
        model["bill.late"].mentions,
        model["bill.late"].impact,
    )
    assert any("corrected for the model's errors" in note for note in corrected.notes)


def test_a_code_of_which_the_audit_holds_little_says_so_and_keeps_the_sum(responses, tags):
    found = rank_root_causes(responses, audit=audit_of(tags, 320, "uniform"))
    row = by_code(found)["rare.thing"]
    assert row.correction.audited_positives < 10
    assert (row.correction.status, row.correction.reason) == ("uncorrected", "few_audited_positives")
    lost = [row.points_lost for row in (*found.rows, *found.buckets)]
    assert sum(lost) == pytest.approx(100 - found.metric.value, abs=1e-9)
    assert row.high - row.low > row.correction.uncorrected.high - row.correction.uncorrected.low


def test_without_an_audit_a_ranking_says_that_it_is_uncorrected(responses):
    found = rank_root_causes(responses)
    assert (found.correction.status, found.correction.reason) == ("uncorrected", "no_audit")
    assert found.correction.audited is None
    for row in by_code(found).values():
        assert (row.correction.status, row.correction.reason) == ("uncorrected", "no_audit")
        assert row.correction.uncorrected.points_lost == row.points_lost
    assert found.correction.explanation in found.notes


def test_299_audited_responses_correct_nothing(responses, tags):
    found = rank_root_causes(responses, audit=audit_of(tags, 299))
    assert (found.correction.status, found.correction.reason) == ("uncorrected", "few_audited_rows")
    plain = by_code(rank_root_causes(responses))
    for code, row in by_code(found).items():
        assert row.points_lost == plain[code].points_lost
        assert row.correction.reason == "few_audited_rows"
        assert row.correction.audited_positives is not None
    assert rank_root_causes(responses, audit=audit_of(tags, 300)).correction.status == "corrected"


def test_an_audit_of_other_responses_corrects_nothing(responses, audit):
    later = responses.subset(np.arange(responses.n) < 1000)
    found = rank_root_causes(later, audit=audit)
    assert (found.correction.status, found.correction.reason) == ("uncorrected", "other_responses")
    groups = rank_by_segment(later, "region", audit=audit)
    assert {group.correction.reason for group in groups.values()} == {"other_responses"}


def test_a_code_that_the_model_never_found_is_ranked_by_the_audit(rows, tmp_path):
    blind = [
        dataclasses.replace(
            row,
            tags=tuple(tag for tag in row.tags if tag.code != "staff.rude"),
            status=row.status
            if row.status == "no_comment"
            else "tagged"
            if any(tag.code != "staff.rude" for tag in row.tags)
            else "uncoded",
        )
        for row in rows
    ]
    write_tags(blind, tmp_path / "t.jsonl")
    responses = ScoredResponses.from_tagged(blind, NPS)
    row = by_code(rank_root_causes(responses, audit=audit_of(tmp_path / "t.jsonl")))["staff.rude"]
    assert (row.mentions, row.status, row.correction.uncorrected.points_lost) == (0, "eligible", 0.0)
    assert row.points_lost > 5
    assert row.rank is not None


def test_a_segment_is_corrected_where_it_holds_enough_of_the_audit(responses, audit):
    groups = rank_by_segment(responses, "region", audit=audit)
    assert groups["North"].correction.status == "corrected"
    assert groups["South"].correction.reason == "few_audited_rows"
    assert {row.code for row in groups["South"].rows} == {row.code for row in groups["North"].rows}
    for group in groups.values():
        assert abs(group.total_check) < 1e-9


def test_sums_from_elsewhere_are_corrected_alike(responses, audit):
    tree = Hierarchy.of([*responses.codes, *audit.codes])
    parts = [responses.subset(responses.respondent % 2 == side) for side in (0, 1)]
    first, second = (CauseSums.of(part, tree, AuditedRows.matched(part, audit.chances)) for part in parts)
    whole, merged = rank_root_causes(responses, audit=audit), rank_from_sums(first + second, NPS, audit=audit)
    assert [row.code for row in merged.rows] == [row.code for row in whole.rows]
    for code, row in by_code(whole).items():
        again = by_code(merged)[code]
        assert (again.points_lost, again.low, again.high) == pytest.approx(
            (row.points_lost, row.low, row.high)
        )
        assert (again.tier, again.rank_low, again.correction.status) == (
            row.tier,
            row.rank_low,
            row.correction.status,
        )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(300, 700), uniform=st.booleans())
def test_corrected_points_sum_to_100_minus_the_metric(tags, responses, seed, size, uniform):
    audit = audit_of(tags, size, "uniform" if uniform else "score-and-code", seed)
    found = rank_root_causes(responses, audit=audit)
    assert found.correction.status == "corrected"
    total = sum(row.points_lost for row in (*found.rows, *found.buckets))
    assert total == pytest.approx(100 - found.metric.value, abs=1e-9)
    for row in by_code(found).values():
        assert row.low <= row.points_lost <= row.high
    json.dumps(found.to_dict(), allow_nan=False)


def watched(audit, rows, seen=None):
    check = AuditCheck(audit, seen)
    assert list(check.watch(rows)) == rows
    return check.result()


def hashes(comments):
    return frozenset(text_hash(comment)[:16] for comment in comments)


def test_an_audit_that_fits_has_no_fault_and_says_what_was_not_checked(rows, audit):
    found = watched(audit, rows)
    assert found.fault is None
    assert any("could not be checked" in remark for remark in found.remarks)
    assert watched(audit, rows, frozenset()).remarks == ()


def test_a_model_that_was_trained_on_the_audit_is_found_out(rows, audit):
    comments = [row.annotation.comment for row in audit.rows]
    found = watched(audit, rows, hashes(comments))
    assert found.fault.reason == "seen_in_training"
    assert "500 of the 500" in found.fault.sentence
    assert watched(audit, rows, hashes(comments[:50])).fault.reason == "seen_in_training"


def test_a_model_that_was_trained_on_comments_at_random_is_not_accused(rows, audit):
    comments = [row.response.comment for row in rows if row.response.comment]
    assert watched(audit, rows, hashes(comments[::4])).fault is None


def test_another_model_needs_its_training_to_be_known(rows, audit):
    other = [dataclasses.replace(row, model="reason-codes/9") for row in rows]
    assert watched(audit, other).fault.reason == "other_model"
    assert watched(audit, other, frozenset()).fault is None
    assert watched(audit, [*rows[:5], *other[5:]], frozenset()).fault.reason == "other_model"


def test_another_taxonomy_version_or_text_is_a_fault(rows, audit):
    newer = [dataclasses.replace(row, taxonomy_version=3) for row in rows]
    assert watched(audit, newer).fault.reason == "other_taxonomy_version"
    edited = {row.annotation.response_id for row in audit.rows[:3]}
    changed = [
        dataclasses.replace(row, response=dataclasses.replace(row.response, comment="Something else"))
        if row.response.response_id in edited
        else row
        for row in rows
    ]
    found = watched(audit, changed)
    assert found.fault.reason == "other_comments"
    assert found.fault.sentence.startswith("3 audited comments")


def test_a_fault_leaves_the_ranking_as_it_is_and_says_why(rows, responses, audit):
    newer = [dataclasses.replace(row, taxonomy_version=3) for row in rows]
    found = rank_root_causes(responses, audit=watched(audit, newer))
    assert (found.correction.status, found.correction.reason) == ("uncorrected", "other_taxonomy_version")
    assert {row.correction.reason for row in found.rows} == {"other_taxonomy_version"}
    assert any("another version of the taxonomy" in note for note in found.notes)


def test_an_incomplete_audit_says_so_in_the_notes(responses, audit):
    part = dataclasses.replace(audit, rows=audit.rows[:400])
    notes = rank_root_causes(responses, audit=part).notes
    assert any("100 of 500 drawn responses were not labelled" in note for note in notes)


def test_what_a_model_was_fitted_on_is_read_from_its_folder(tmp_path, tags, monkeypatch):
    from data.settings import Settings

    assert read_seen_texts(tmp_path) is None
    (tmp_path / SEEN_TEXTS).write_text("aa\nbb\n")
    assert read_seen_texts(tmp_path) == {"aa", "bb"}
    assert seen_texts_behind(tags, None, Settings(home=tmp_path / "home")) is None
