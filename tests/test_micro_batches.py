"""Micro-batching: together what comes together, each in turn, nothing for ever; a fault costs only itself."""

import asyncio
import threading
from collections import Counter

import pytest

from data.errors import ModelError
from data.responses import Response
from serving.admission import OverloadedError
from serving.micro_batches import LateError, MicroBatches
from tests.stubs import StubTagger


class GatedTagger(StubTagger):
    """A stub that notes its batches and, while the gate is shut, does not come back from them."""

    def __init__(self, name="stub/1"):
        super().__init__(name)
        self.gate = threading.Event()
        self.gate.set()
        self.batches, self.entered = [], threading.Semaphore(0)

    def tag(self, responses):
        self.batches.append([response.comment for response in responses])
        self.entered.release()
        assert self.gate.wait(30)
        if any(response.comment == "poison" for response in responses):
            raise ModelError("the engine cannot stand this comment")
        return super().tag(responses)

    @property
    def texts(self):
        return Counter(text for batch in self.batches for text in batch)


def answers(*texts):
    return [Response(f"r{i}", None, text) for i, text in enumerate(texts)]


def run(work, **settings):
    """Run work(room) on a loop of its own."""

    async def main():
        room = MicroBatches(**({"queue_tokens": 10_000, "timeout_s": 30.0} | settings))
        try:
            return await work(room)
        finally:
            room.close()

    return asyncio.run(main())


async def until(condition):
    """Let the loop turn until something holds; the test's own timeout ends it otherwise."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def busy(room, tagger):
    """Shut the gate and fill the threads, so that what comes next waits; give the tasks that fill them."""
    tagger.gate.clear()
    tasks = []
    for number in range(2):
        tasks.append(asyncio.create_task(room.tag(answers(f"busy {number}"), tagger)))
        await until(lambda: tagger.entered.acquire(blocking=False))
    return tasks


def test_rows_come_back_in_order_each_with_its_own_response():
    tagger = GatedTagger()
    wanted = answers("Billed twice", None, "lovely agent", "Billed twice", "  ", "x" * 3000)
    rows = run(lambda room: room.tag(wanted, tagger))
    assert rows == StubTagger().tag(wanted)
    assert run(lambda room: room.tag([], tagger)) == []


def test_requests_that_come_together_are_read_together():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        tasks = [asyncio.create_task(room.tag(answers(f"text {i}"), tagger)) for i in range(20)]
        await until(lambda: room.load.comments == 20)
        tagger.gate.set()
        await asyncio.gather(*filling, *tasks)
        assert room.load.tokens == room.load.comments == room.load.batches == 0

    run(work)
    assert len(tagger.batches) <= 4
    assert all(count == 1 for count in tagger.texts.values())


def test_a_comment_that_many_ask_for_is_read_once_also_while_it_is_being_read():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        waiting = [asyncio.create_task(room.tag(answers("Billed again", "busy 0"), tagger)) for _ in range(5)]
        await until(lambda: room.load.comments == 1)
        tagger.gate.set()
        found = await asyncio.gather(*waiting)
        await asyncio.gather(*filling)
        assert all(rows == StubTagger().tag(answers("Billed again", "busy 0")) for rows in found)

    run(work)
    assert tagger.texts["Billed again"] == tagger.texts["busy 0"] == 1


def test_a_thousand_comments_delay_nobody_by_more_than_a_batch():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        long = asyncio.create_task(room.tag(answers(*(f"long {i}" for i in range(1000))), tagger))
        await until(lambda: room.load.comments == 1000)
        short = asyncio.create_task(room.tag(answers("short"), tagger))
        await until(lambda: room.load.comments == 1001)
        tagger.gate.set()
        await asyncio.gather(*filling, long, short)

    run(work, batch_tokens=100)
    place = next(i for i, batch in enumerate(tagger.batches) if "short" in batch)
    assert place == 2  # the first batch after those that were under way
    assert len(tagger.batches) > 20


def test_models_are_never_mixed_and_each_has_its_turn():
    first, second = GatedTagger("stub/1"), GatedTagger("stub/2")

    async def work(room):
        filling = await busy(room, first)
        tasks = [
            asyncio.create_task(room.tag(answers("same text", f"own {i}"), (first, second)[i % 2]))
            for i in range(6)
        ]
        await until(lambda: room.load.comments == 8)
        first.gate.set()
        for i, task in enumerate(tasks):
            assert {row.model for row in await task} == {f"stub/{1 + i % 2}"}
        await asyncio.gather(*filling)

    run(work)
    assert first.texts["same text"] == second.texts["same text"] == 1


def test_what_cannot_be_read_in_time_is_refused_with_the_time_to_come_back():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        big = asyncio.create_task(room.tag(answers(*("w" * 400 + str(i) for i in range(50))), tagger))
        await until(lambda: room.load.comments == 50)  # taken whatever its size, as nothing waited
        with pytest.raises(OverloadedError) as refused:
            await room.tag(answers("one more"), tagger)
        assert refused.value.status == 429
        assert 1 <= refused.value.retry_after_s <= 60
        # What is being waited for anyhow costs nothing.
        shared = asyncio.create_task(room.tag(answers("w" * 400 + "7"), tagger))
        await asyncio.sleep(0)
        tagger.gate.set()
        await asyncio.gather(*filling, big, shared)
        assert len(await room.tag(answers("one more"), tagger)) == 1

    run(work, queue_tokens=1024)


def test_a_request_that_is_late_is_told_so_and_its_comments_are_not_read():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        with pytest.raises(LateError, match="within 0.05 s"):
            await room.tag(answers("too late"), tagger)
        assert room.load.comments == room.load.tokens == 0
        tagger.gate.set()
        ended = await asyncio.gather(*filling, return_exceptions=True)
        assert all(isinstance(one, LateError) for one in ended)
        await until(lambda: not room.load.batches)
        assert len(await room.tag(answers("in time"), tagger)) == 1

    run(work, timeout_s=0.05)
    assert "too late" not in tagger.texts


def test_a_cancelled_request_frees_its_place_but_not_what_others_wait_for():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        leaving = asyncio.create_task(room.tag(answers("shared", "mine alone"), tagger))
        await until(lambda: room.load.comments == 2)
        staying = asyncio.create_task(room.tag(answers("shared", "own"), tagger))
        await until(lambda: room.load.comments == 3)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert room.load.comments == 2
        tagger.gate.set()
        rows = await staying
        assert [row.response.comment for row in rows] == ["shared", "own"]
        await asyncio.gather(*filling)
        assert room.load.comments == room.load.tokens == 0

    run(work)
    assert "mine alone" not in tagger.texts
    assert tagger.texts["shared"] == 1


def test_who_leaves_a_comment_while_it_is_read_does_not_disturb_who_joins():
    tagger = GatedTagger()

    async def work(room):
        first, second = await busy(room, tagger)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        joined = asyncio.create_task(room.tag(answers("busy 0"), tagger))
        await asyncio.sleep(0)
        tagger.gate.set()
        assert len(await joined) == 1
        await second

    run(work)
    assert tagger.texts["busy 0"] == 1


def test_one_fault_fails_the_request_that_brought_it_and_no_other():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        good = [asyncio.create_task(room.tag(answers(f"good {i}"), tagger)) for i in range(9)]
        bad = asyncio.create_task(room.tag(answers("poison", "good 3"), tagger))
        await until(lambda: room.load.comments == 10)
        tagger.gate.set()
        for task in good:
            assert len(await task) == 1
        with pytest.raises(ModelError, match="cannot stand"):
            await bad
        await asyncio.gather(*filling)
        await until(lambda: not room.load.batches)
        assert room.load.comments == room.load.tokens == 0
        assert len(await room.tag(answers("after"), tagger)) == 1

    run(work)


def test_the_loop_turns_while_a_batch_is_read():
    tagger = GatedTagger()

    async def work(room):
        filling = await busy(room, tagger)
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        assert turns == 100
        assert room.load.batches == 2
        tagger.gate.set()
        await asyncio.gather(*filling)

    run(work)


def test_load_over_many_requests_is_exact():
    tagger = StubTagger()

    async def work(room):
        wanted = [answers(*(f"text {(i * 7 + k) % 40}" for k in range(1 + i % 5))) for i in range(200)]
        found = await asyncio.gather(*(room.tag(one, tagger) for one in wanted))
        for one, rows in zip(wanted, found, strict=True):
            assert [row.response for row in rows] == one
        assert room.load.comments == room.load.tokens == room.load.batches == 0

    run(work, batch_tokens=30, queue_tokens=1_000_000)


def test_two_batches_read_side_by_side_do_not_seem_quicker_than_they_were():
    now = [0.0]

    async def work(room):
        tagger = GatedTagger()
        tagger.gate.clear()
        asked = asyncio.create_task(room.tag(answers("a", "b", "c", "d"), tagger))
        await until(lambda: room.load.batches == 2)
        before, now[0] = room.load.tokens_per_second, 10.0
        tagger.gate.set()  # both end at the same moment: the second took no time of its own
        await asked
        assert room.load.tokens_per_second < before

    run(work, batch_tokens=4, clock=lambda: now[0])
