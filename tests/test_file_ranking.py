"""A Parquet file of any size ranks as its rows in memory do."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.responses import Response
from data.scale import CES7, CSAT5, NPS
from data.scratch_database import DatabaseLimits
from data.tag_schema import UnfitColumnsError
from data.tags import Tag, TaggedResponse, read_tags, write_tags
from model import file_ranking, repeated_answers
from model.file_ranking import rank_file
from model.mentions import ScoredResponses
from model.periods import parse_span, with_periods
from model.root_causes import rank_by_segment, rank_root_causes
from model.window import answered_within
from tests.figures import assert_same
from tests.random_tags import SEGMENTS, random_tags

ONE = DatabaseLimits(threads=1, memory_mb=256)
HERE = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Both ways simulate alike, so that a few draws tell as much as ten thousand."""
    monkeypatch.setattr("model.rank_intervals.DRAWS", 200)


def assert_ranks_alike(path, scale=NPS, by=SEGMENTS, span=None, **how):
    """Rank a file both ways and compare all figures; gives the ranking of all responses."""
    rows = answered_within(read_tags(path, scale=scale), span)
    scored = ScoredResponses.from_tagged(with_periods(rows), scale, file=path)
    found = rank_file(path, scale, by, span=span, limits=ONE, **how)
    whole = rank_root_causes(scored, **how)
    assert_same(whole.to_dict(), found.overall.to_dict())
    for name in by:
        parts = rank_by_segment(scored, name, **how)
        assert list(parts) == list(found.groups[name])
        for value, part in parts.items():
            assert_same(part.to_dict(), found.groups[name][value].to_dict(), f"{name}={value}")
    return whole


@HERE
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(40, 400),
    scale=st.sampled_from([NPS, CSAT5, CES7]),
    weighted=st.booleans(),
    by=st.sampled_from([("country",), ("plan", "month"), ("week",)]),
)
def test_every_figure_is_that_of_the_rows_in_memory(tmp_path, seed, n, scale, weighted, by):
    path = tmp_path / "tags.parquet"
    write_tags(random_tags(seed, n, scale=scale, weighted=weighted), path, SEGMENTS)
    assert_ranks_alike(path, scale, by=by, codes=["never.heard"], level=0.9)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_handful_of_rows(tmp_path, n):
    for seed in range(4):
        write_tags(random_tags(seed, n), tmp_path / "tags.parquet", SEGMENTS)
        assert_ranks_alike(tmp_path / "tags.parquet", by=())


def test_more_codes_than_a_word_has_bits(tmp_path):
    codes = tuple(f"p{i % 7}.c{i}" for i in range(150))
    write_tags(random_tags(5, 600, codes=codes), tmp_path / "tags.parquet", SEGMENTS)
    ranking = assert_ranks_alike(tmp_path / "tags.parquet")
    assert len(ranking.rows) > 140


def test_parts_of_the_work_add_up(tmp_path, monkeypatch):
    write_tags(random_tags(8, 900), tmp_path / "tags.parquet", SEGMENTS)
    monkeypatch.setattr("data.tag_batches.ROWS", 97)
    monkeypatch.setattr("data.tag_queries.CHUNK", 13)
    monkeypatch.setattr(repeated_answers, "MANY", 2)
    monkeypatch.setattr(file_ranking, "MOST_CELLS", 400)
    assert_ranks_alike(tmp_path / "tags.parquet")


def test_one_person_behind_nearly_everything(tmp_path, monkeypatch):
    monkeypatch.setattr("data.tag_queries.CHUNK", 60)
    monkeypatch.setattr(repeated_answers, "MANY", 20)
    rows = [
        TaggedResponse(
            Response(f"r{i}", float(i % 11), "x", None, "kiosk" if i % 9 else f"p{i}", 1.0 + i % 3),
            "tagged",
            (Tag(("a", "b.c", "b.d")[i % 3], "negative", 0.9),),
        )
        for i in range(500)
    ]
    write_tags(rows, tmp_path / "tags.parquet")
    ranking = assert_ranks_alike(tmp_path / "tags.parquet", by=())
    assert ranking.metric.respondents < 60


def test_little_memory_is_enough(tmp_path):
    n = 60_000
    rng = np.random.default_rng(0)
    kind = pa.struct([("code", pa.string()), ("polarity", pa.string()), ("probability", pa.float64())])
    tags = [[{"code": f"c{i % 30}", "polarity": "negative", "probability": 0.5}] for i in range(n)]
    table = pa.table(
        {
            "response_id": [f"response-{i:08}" for i in range(n)],
            "score": rng.integers(0, 11, n).astype(float),
            "respondent_id": [f"respondent-{i}" for i in rng.integers(0, n // 2, n)],
            "status": ["tagged"] * n,
            "tags": pa.array(tags, pa.list_(kind)),
        }
    )
    pq.write_table(table, tmp_path / "tags.parquet")
    small = rank_file(tmp_path / "tags.parquet", NPS, limits=DatabaseLimits(threads=1, memory_mb=32))
    assert_same(
        rank_file(tmp_path / "tags.parquet", NPS, limits=ONE).overall.to_dict(), small.overall.to_dict()
    )


def test_the_latest_row_of_an_id_wins(tmp_path):
    rows = [
        TaggedResponse(Response("r1", 0.0, "x", segments={"s": "a"}), "tagged", (Tag("c", "negative", 1.0),)),
        TaggedResponse(Response("r2", 10.0, "x", segments={"s": "a"}), "uncoded"),
        TaggedResponse(Response("r1", 10.0, "x", segments={"s": "b"}), "uncoded"),
    ]
    write_tags(rows, tmp_path / "tags.parquet", ["s"])
    ranking = assert_ranks_alike(tmp_path / "tags.parquet", by=["s"])
    assert (ranking.n_scored, ranking.metric.value, ranking.rows) == (2, 100.0, ())


def test_texts_are_tidied_as_rows_are(tmp_path):
    kind = pa.struct([("code", pa.string()), ("polarity", pa.string()), ("probability", pa.float64())])
    tags = [[{"code": "c", "polarity": "negative", "probability": 1.0}]] * 5
    table = pa.table(
        {
            "response_id": ["r1", " r1\u00a0", "r 2", "r3", "\u200br4"],
            "score": pa.array([0, 3, 5, 7, None], pa.int32()),
            "weight": pa.array([None, 2.0, math.nan, 1.0, 1.0]),
            "respondent_id": ["p", " p", "", None, "p"],
            "store": pa.array([1, 2, 1, None, 7]),
            "region": pa.array(["N ", "N", "", None, "S"]).dictionary_encode(),
            "status": ["tagged"] * 5,
            "tags": pa.array(tags, pa.list_(kind)),
            "nothing": pa.nulls(5),
        }
    )
    pq.write_table(table, tmp_path / "tags.parquet")
    ranking = assert_ranks_alike(tmp_path / "tags.parquet", by=["store", "region"])
    assert (ranking.n_scored, ranking.n_unscored, ranking.metric.respondents) == (3, 1, 3)


def test_only_the_days_that_are_asked_for(tmp_path):
    write_tags(random_tags(11, 700), tmp_path / "tags.parquet", SEGMENTS)
    span = parse_span("2026-01-31..2026-02-10")
    ranking = assert_ranks_alike(tmp_path / "tags.parquet", by=["country", "week"], span=span)
    assert 300 < ranking.n_scored < 550
    never = parse_span("2025")
    assert rank_file(tmp_path / "tags.parquet", NPS, span=never, limits=ONE).overall.n_scored == 0


@pytest.mark.parametrize("name", ["nowhere", "blank", "comment", "r"])
def test_what_is_no_segment_is_refused_in_a_sentence(tmp_path, name):
    rows = [
        TaggedResponse(Response(f"r{i}", 3.0, segments={"r": str(i), "s": "x"}), "no_comment")
        for i in range(1001)
    ]
    write_tags(rows, tmp_path / "tags.parquet", ["r", "s", "blank"])
    with pytest.raises(InputError, match=rf"^(there is no segment )?'{name}'"):
        rank_file(tmp_path / "tags.parquet", NPS, [name], limits=ONE)


def test_a_file_of_other_types_is_for_the_rows(tmp_path):
    write_tags(random_tags(1, 5), tmp_path / "tags.jsonl")
    (tmp_path / "text.parquet").write_bytes((tmp_path / "tags.jsonl").read_bytes())
    pq.write_table(
        pa.table({"response_id": ["r1"], "status": ["uncoded"], "tags": ["[]"]}), tmp_path / "t.parquet"
    )
    for name in ("text.parquet", "t.parquet", "nothing.parquet"):
        with pytest.raises(UnfitColumnsError):
            rank_file(tmp_path / name, NPS, limits=ONE)
