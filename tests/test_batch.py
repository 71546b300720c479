"""Tagging a file: streamed, the last row of an id wins, and a killed run is finished by the next."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import InputError
from data.scale import CSAT5
from data.tags import read_tags
from serving.batch import ReadOptions, tag_file
from tests.stubs import STRANGE, StubTagger

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def responses(tmp_path):
    path = tmp_path / "answers.csv"
    rows = [f"r{i},{i % 11},{'billed late' if i % 3 else ''},Shop {i % 4}" for i in range(1500)]
    path.write_text("response_id,score,comment,shop\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".jsonl.gz", ".csv.gz"])
def test_every_format_holds_every_row(responses, tmp_path, ending):
    output = tmp_path / f"tags{ending}"
    summary = tag_file(responses, output, StubTagger())
    rows = list(read_tags(output))
    assert summary.rows == len(rows) == 1500
    assert [row.response.response_id for row in rows] == [f"r{i}" for i in range(1500)]
    assert rows[1].response.segments == {"shop": "Shop 1"}
    assert summary.statuses == {"tagged": 1000, "no_comment": 500}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answers.csv", f"tags{ending}"]


def test_a_later_row_replaces_an_earlier_one(tmp_path):
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    lines = ["response_id,score,comment", "a,1,billed late", f"b,2,{STRANGE}", "a,9,fine"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = tag_file(source, output, StubTagger())
    assert [(r.response.response_id, r.response.score) for r in read_tags(output)] == [("b", 2), ("a", 9)]
    assert (summary.rows, summary.replaced, summary.abstained) == (2, 1, 1)


def test_a_fault_anywhere_in_the_input_leaves_no_output(responses, tmp_path):
    with responses.open("a", encoding="utf-8") as file:
        file.write("r9,11,late,Shop\n")
    output = tmp_path / "tags.jsonl"
    with pytest.raises(InputError) as caught:
        tag_file(responses, output, StubTagger())
    assert (caught.value.row, caught.value.column) == (1502, "score")
    assert list(tmp_path.iterdir()) == [responses]


def test_outputs_that_cannot_be_are_refused_first(responses, tmp_path):
    for output in (tmp_path / "tags.xlsx", tmp_path / "nowhere" / "tags.jsonl", responses):
        before = responses.read_bytes()
        with pytest.raises(InputError):
            tag_file(responses, output, StubTagger())
        assert responses.read_bytes() == before


class Interrupted(Exception):
    pass


class FailingTagger(StubTagger):
    """Fails at its second chunk."""

    def __init__(self):
        super().__init__()
        self.chunks = 0

    def tag(self, responses):
        self.chunks += 1
        if self.chunks == 2:
            raise Interrupted
        return super().tag(responses)


def test_an_interrupted_run_is_resumed_and_a_half_written_line_is_dropped(responses, tmp_path):
    output = tmp_path / "tags.jsonl"
    with pytest.raises(Interrupted):
        tag_file(responses, output, FailingTagger())
    assert not output.exists()
    (journal,) = tmp_path.glob(".*partial.jsonl")
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"response_id": "r512", "sco')
    summary = tag_file(responses, output, StubTagger())
    assert summary.resumed == 512
    whole = tmp_path / "whole.jsonl"
    tag_file(responses, whole, StubTagger())
    assert output.read_bytes() == whole.read_bytes()


def test_rows_of_another_input_or_scale_are_not_resumed(responses, tmp_path):
    output = tmp_path / "tags.jsonl"
    with pytest.raises(Interrupted):
        tag_file(responses, output, FailingTagger())
    text = responses.read_text(encoding="utf-8").replace("billed", "price")
    responses.write_text(text, encoding="utf-8")
    assert tag_file(responses, output, StubTagger()).resumed == 0


def test_the_scale_is_the_declared_one(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("score,comment\n5,billed\n", encoding="utf-8")
    tag_file(source, tmp_path / "out.jsonl", StubTagger(), ReadOptions(CSAT5))
    source.write_text("score,comment\n9,late\n", encoding="utf-8")
    with pytest.raises(InputError, match="CSAT"):
        tag_file(source, tmp_path / "out.jsonl", StubTagger(), ReadOptions(CSAT5))


CHILD = """
import sys
sys.path[:0] = [{root!r}]
from serving.batch import tag_file
from tests.stubs import STRANGE, StubTagger
tag_file({source!r}, {output!r}, StubTagger(), None, lambda done, total: print(done, flush=True))
"""


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_kill_9_loses_no_row_that_was_told_done(responses, tmp_path, kill_at):
    output = tmp_path / "tags.jsonl"
    code = CHILD.format(root=str(ROOT), source=str(responses), output=str(output))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    told = 0
    for _ in range(kill_at):
        line = child.stdout.readline()
        told = int(line) if line else told
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    journal = tmp_path / ".tags.jsonl.partial.jsonl"
    if journal.exists():
        lines = journal.read_text(encoding="utf-8").split("\n")
        assert len([line for line in lines[:-1] if json.loads(line)]) >= told > 0
    else:
        assert told == 1500
        assert output.exists()
    summary = tag_file(responses, output, StubTagger())
    assert summary.resumed >= told or summary.resumed == 0
    ids = [row.response.response_id for row in read_tags(output)]
    assert ids == [f"r{i}" for i in range(1500)]
