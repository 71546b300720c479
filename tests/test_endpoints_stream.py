import asyncio
import json
import os
import tempfile

import pytest

from data.errors import ModelError
from serving.line_spool import GROUP, MAX_LINE_BYTES, LineSpool
from tests.http_client import SECRET, problem, served
from tests.stubs import StubTagger

NDJSON = {"content-type": "application/x-ndjson"}


def stream(client, body, **more):
    answer = client.post("/v1/tag/stream", content=body, headers=NDJSON, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def as_lines(items):
    return "\n".join(json.dumps(item) for item in items).encode()


def test_a_stream_gives_the_records_of_tag_in_order(shared):
    items = [{"response_id": f"r{i}", "score": i % 11, "comment": "Billed"} for i in range(3 * GROUP + 5)]
    found = stream(shared, as_lines(items))
    expected = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    assert found == expected
    assert shared.app.state.service.store.count() == 0


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"5",
        b"NaN",
        b"[" * 100_000,
        b'{"score": 11}',
        b'{"score": "9"}',
        b'{"comment": "\xff secret"}',
        b'{"comment": {"text": "secret"}}',
        b'{"responded_at": "secret"}',
        b'{"comment": "' + b"x" * MAX_LINE_BYTES + b'"}',
    ],
    ids=lambda bad: bad[:24].decode("latin-1"),
)
def test_a_bad_line_is_an_error_with_its_number_and_fails_no_other(shared, bad):
    good = b'{"response_id": "r1", "comment": "Billed"}'
    found = stream(shared, b"\n".join([good, b"", bad, good]))
    assert [row["status"] for row in found] == ["tagged", "error", "tagged"]
    assert found[1]["line"] == 3
    assert found[1]["error"]
    assert found[1]["model"] == "stub/1"
    assert "secret" not in json.dumps(found[1])


def test_a_line_without_end_is_a_line_and_nothing_is_nothing(shared):
    assert stream(shared, b"") == []
    assert stream(shared, b" \n\r\n") == []
    (row,) = stream(shared, b'\xef\xbb\xbf{"comment": "Billed"}\r\n')
    assert row["status"] == "tagged"
    assert stream(shared, b"x" * (MAX_LINE_BYTES + 1))[0]["error"].startswith("the line is longer")


def test_equal_lines_without_an_id_stay_apart(shared):
    found = stream(shared, b'{"comment": "Billed"}\n' * 3)
    assert len({row["response_id"] for row in found}) == 3


def test_the_operating_point_and_the_kind_of_body_are_checked(shared):
    (row,) = stream(shared, b"{}", params={"operating_point": "high_recall"})
    assert row["model"] == "stub/1@high_recall"
    problem(shared.post("/v1/tag/stream", content=b"{}", headers={"content-type": "application/json"}), 415)
    bad = shared.post("/v1/tag/stream", content=b"{}", headers=NDJSON, params={"operating_point": "best"})
    assert problem(bad, 422)["errors"][0]["parameter"] == "operating_point"


def test_a_stream_may_be_longer_than_any_body(shared):
    line = json.dumps({"response_id": "r1", "comment": f"Billed {'again ' * 300}"}).encode() + b"\n"
    times = 2 * 2**20 // len(line)  # twice the limit of the other bodies
    assert len(stream(shared, (line for _ in range(times)))) == times


def test_a_model_that_fails_makes_errors_of_its_lines(tmp_path):
    class Failing(StubTagger):
        def tag(self, responses):
            raise ModelError("the model is gone")

    with served(tmp_path, Failing()) as client:
        found = stream(client, as_lines([{"response_id": "r1", "comment": SECRET}, {"response_id": "r2"}]))
    assert [(row["line"], row["response_id"], row["error"]) for row in found] == [
        (1, "r1", "the model is gone"),
        (2, "r2", "the model is gone"),
    ]
    assert "secret" not in json.dumps(found)


def test_a_line_is_answered_before_the_next_is_sent(shared):
    """Who waits for an answer before sending the next line gets it."""
    sent, lines = asyncio.Queue(), [b'{"comment": "Billed"}\n', b'{"comment": "fine"}\n']

    async def converse():
        answers = []
        steps = iter(lines)

        async def receive():
            line = next(steps, None)
            if line is None:
                return {"type": "http.request", "body": b"", "more_body": False}
            if answers or line is lines[1]:
                answers.append(await sent.get())  # the answer to the line before
            return {"type": "http.request", "body": line, "more_body": True}

        async def send(message):
            if message.get("body"):
                await sent.put(message["body"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/tag/stream",
            "raw_path": b"/v1/tag/stream",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-ndjson")],
        }
        await asyncio.wait_for(shared.app(scope, receive, send), 60)
        return [*answers, await sent.get()]

    first, second = asyncio.run(converse())
    assert (json.loads(first)["status"], json.loads(second)["status"]) == ("tagged", "uncoded")


def test_a_spool_reads_ahead_and_no_further_than_it_may():
    """All is read even if nobody takes the lines, until the file holds as much as it may."""

    async def fill(most):
        taken, enough = [], asyncio.Event()

        async def body():
            for number in range(20):
                taken.append(number)
                if len(taken) in (20, most // 10 + 2):
                    enough.set()
                yield b"123456789\n"

        async with LineSpool(most) as spool:
            spool.fill(body())
            await asyncio.wait_for(enough.wait(), 60)
            before = len(taken)
            lines = [line async for group in spool.groups() for line in group]
        assert [line.number for line in lines] == list(range(1, 21))
        return before

    assert asyncio.run(fill(1000)) == 20
    assert asyncio.run(fill(50)) == 7  # six are in the file; the next waits


@pytest.mark.parametrize("part", [1000, 2**16])
def test_a_reader_who_never_catches_up_does_not_fill_the_disk(monkeypatch, part):
    """Whatever the length of the stream, the files hold what may wait, an eighth more, and two parts."""
    made, make = [], tempfile.TemporaryFile

    def made_file(**how):
        made.append(make(**how))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", made_file)
    most, line = 2**18, b"x" * 999 + b"\n"
    whole = line * (16 * most // len(line))

    async def read():
        sent, sizes, found = 0, [], []

        async def body():
            nonlocal sent
            for start in range(0, len(whole), part):
                sent += len(whole[start : start + part])
                yield whole[start : start + part]

        async with LineSpool(most) as spool:
            spool.fill(body())
            async for group in spool.groups():
                found += [one.content + b"\n" for one in group]
                while sent < len(whole) and sent - len(found) * len(line) <= most + part:
                    await asyncio.sleep(0)  # as long as more may come
                sizes.append(sum(os.fstat(file.fileno()).st_size for file in made if not file.closed))
        assert b"".join(found) == whole
        assert all(file.closed for file in made)
        return max(sizes)

    assert most // 2 < asyncio.run(asyncio.wait_for(read(), 60)) <= most * 9 // 8 + 2 * part


def test_a_body_that_breaks_off_ends_the_stream():
    async def read():
        async def body():
            yield b"{}\n"
            raise ConnectionError("gone")

        async with LineSpool(100) as spool:
            spool.fill(body())
            return [line async for group in spool.groups() for line in group]

    with pytest.raises(ConnectionError):
        asyncio.run(read())
