import json
from dataclasses import asdict

import pytest

from data.errors import InputError
from data.scale import CSAT5
from serving import ingest as room
from serving.ingest import IngestCounts, ingest, ingest_file
from tests.stubs import STRANGE, StubTagger, response


@pytest.fixture
def tagger():
    return StubTagger()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 3)


def write_csv(path, *lines, header="response_id,score,comment,region"):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def scores(store):
    return {row.response.response_id: row.response.score for row in store.tagged()}


def test_responses_are_tagged_stored_and_counted(store, tagger):
    rows = [
        response("r1", comment="Billed twice"),
        response("r2", comment="nothing"),
        response("r3", comment=None),
        response("r4", comment="x" * 3000),
        response("r5", comment=STRANGE),
    ]
    assert ingest(rows, tagger, store) == IngestCounts(
        received=5, created=5, tagged=1, uncoded=2, no_comment=1, error=1, abstained=1
    )
    statuses = [row.status for row in store.tagged()]
    assert statuses == ["tagged", "uncoded", "no_comment", "error", "uncoded"]


def test_the_same_again_changes_nothing_and_reads_no_comment_twice(store, tagger):
    rows = [response(f"r{i}", comment="Billed" if i else None) for i in range(4)]
    ingest(rows, tagger, store)
    version, read = store.version(), tagger.read
    assert ingest(rows, tagger, store) == IngestCounts(
        received=4, unchanged=4, tagged=3, no_comment=1, reused=3
    )
    assert (store.version(), tagger.read) == (version, read)


def test_a_new_score_is_stored_without_reading_the_comment_again(store, tagger):
    ingest([response("r1", 3)], tagger, store)
    counts = ingest([response("r1", 9)], tagger, store)
    assert (counts.updated, counts.reused, tagger.read) == (1, 1, 1)
    assert scores(store) == {"r1": 9}


@pytest.mark.parametrize("change", ["comment", "model"])
def test_another_comment_or_model_is_read_again(store, tagger, change):
    ingest([response("r1")], tagger, store)
    other = StubTagger("stub/2") if change == "model" else tagger
    comment = "The price" if change == "comment" else "Billed twice"
    counts = ingest([response("r1", comment=comment)], other, store)
    assert (counts.updated, counts.reused) == (1, 0)
    (row,) = store.tagged()
    assert row.model == other.name
    assert row.tags[0].evidence[0].text == comment.removeprefix("The ")


def test_a_comment_that_failed_is_tried_again(store):
    rows = [response("r1", comment="Billed " + "x" * 500)]
    assert ingest(rows, StubTagger(max_comment_chars=100), store).error == 1
    assert ingest(rows, StubTagger(), store) == IngestCounts(received=1, updated=1, tagged=1)


def test_the_last_of_several_rows_with_one_id_counts(store, tagger, small_chunks, tmp_path):
    rows = [f"r{i % 4},{i},Billed {i},N" for i in range(10)]
    counts = ingest_file(write_csv(tmp_path / "r.csv", *rows), tagger, store)
    assert counts == IngestCounts(received=10, replaced=6, created=4, tagged=4)
    assert scores(store) == {"r0": 8, "r1": 9, "r2": 6, "r3": 7}
    again = ingest_file(tmp_path / "r.csv", tagger, store)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 4)


def test_progress_counts_responses(store, tagger, small_chunks):
    done = []
    ingest([response(f"r{i}") for i in range(7)], tagger, store, done.append)
    assert done == [3, 6, 7]


def test_a_file_with_one_wrong_row_writes_nothing(store, tagger, small_chunks, tmp_path):
    rows = [f"r{i},3,Billed,N" for i in range(9)]
    path = write_csv(tmp_path / "r.csv", *rows, "r9,11,secret words,N")
    with pytest.raises(InputError) as caught:
        ingest_file(path, tagger, store)
    assert (caught.value.row, caught.value.column) == (11, "score")
    assert "secret" not in str(caught.value)
    assert (store.count(), tagger.read) == (0, 0)


def test_a_file_is_read_as_declared(store, tagger, tmp_path):
    path = write_csv(tmp_path / "r.csv", "4,Billed,06/04/2026", header="score,What?,responded_at")
    ingest_file(path, tagger, store, scale=CSAT5, columns={"comment": "What?"}, date_format="%d/%m/%Y")
    (row,) = store.tagged()
    assert (row.status, f"{row.response.responded_at:%Y-%m-%d}") == ("tagged", "2026-04-06")


def test_rows_without_an_id_keep_theirs_from_load_to_load(store, tagger, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps({"score": 3, "comment": "Billed"}) + "\n" for _ in range(3)))
    assert ingest_file(path, tagger, store).created == 3
    assert ingest_file(path, tagger, store).unchanged == 3


def test_work_goes_on_where_a_crash_ended_it(store, tagger, small_chunks):
    rows = [response(f"r{i}") for i in range(9)]

    class Fragile(StubTagger):
        def tag(self, responses):
            if self.read >= 6:
                raise RuntimeError("crash")
            return super().tag(responses)

    with pytest.raises(RuntimeError, match="crash"):
        ingest(rows, Fragile(), store)
    assert store.count() == 6
    counts = ingest(rows, tagger, store)
    assert (counts.unchanged, counts.created, tagger.read) == (6, 3, 3)


def test_counts_add_up():
    one = IngestCounts(received=2, created=1, replaced=1, tagged=1)
    assert asdict(one + one) == {name: 2 * value for name, value in asdict(one).items()}
