"""Micro-batching: comments of requests that arrive together are read together, and nobody waits for ever.

Comments wait in a queue that is bounded in tokens. While one batch is read, the next one gathers and is
tokenized, so that under load batches grow by themselves and a lone request is read at once. Requests take
turns, a comment each, so that one of a thousand comments delays no other. A comment that several requests
ask for at the same time is read once.

All of it runs on the event loop and is quick; what takes long runs in threads of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from data.errors import WhyscoreError
from data.responses import Response
from data.tags import TaggedResponse
from serving import metrics
from serving.admission import Admission, OverloadedError
from serving.ingest import ResponseTagger

# Batches under way: while one is tokenized, or its evidence found, the other is read; OpenVINO reads both.
_AT_ONCE = 2
# Tokens of a batch: as many as the engines read best, and few enough to be done in a tenth of a second.
_BATCH_TOKENS = 2048
# After a batch of many requests the next ones are on their way; waiting this long for them pays.
_GATHER_S = 0.002
_CHARS_PER_TOKEN = 4
_SPECIAL_TOKENS = 2


class LateError(WhyscoreError):
    """A request that could not be answered before its deadline."""

    status = 503
    title = "Answer too late"
    retry_after_s = 5


@dataclass(eq=False)
class _Request:
    """A request that waits: which of its comments are not read yet, and the promise of the rest."""

    tagger: ResponseTagger
    waiting: deque[_Comment]
    missing: int
    done: asyncio.Future[None]
    tokens: int = 0


@dataclass(eq=False)
class _Comment:
    """A text to be read once for everyone who asked for it.

    Attributes
    ----------
    response
        Of the first who asked; the tags depend on its comment alone.
    since
        When it was asked for.
    requests
        Whoever waits for it.
    row
        What the model said of it.
    entered, taken
        Whether it stands in line, and whether a batch has taken it from there.
    """

    tagger: ResponseTagger
    response: Response
    tokens: int
    since: float
    requests: list[_Request] = field(default_factory=list)
    row: TaggedResponse | None = None
    entered: bool = False
    taken: bool = False


@dataclass(frozen=True)
class Load:
    """How much there is to do: comments and tokens that wait, batches under way, and the rate so far.

    Attributes
    ----------
    comments, tokens
        Waiting.
    batches
        Being read.
    tokens_per_second
        A running mean.
    """

    comments: int
    tokens: int
    batches: int
    tokens_per_second: float


class MicroBatches:
    """Reads the comments of concurrent requests together.

    Parameters
    ----------
    queue_tokens
        The most tokens that may wait; a single request is taken whatever its size when nothing waits.
    timeout_s
        The longest that a request waits for its answer.
    batch_tokens
        The most tokens of a batch.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self,
        queue_tokens: int,
        timeout_s: float,
        batch_tokens: int = _BATCH_TOKENS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admission = Admission(queue_tokens, timeout_s, clock)
        self._timeout, self._batch_tokens, self._clock = timeout_s, batch_tokens, clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tagging")
        self._requests: deque[_Request] = deque()
        self._comments: dict[tuple[int, str], _Comment] = {}
        self._tokens = self._waiting = 0
        self._under_way = 0
        self._together = 1
        self._gathering: asyncio.TimerHandle | None = None
        self._last_done = clock()
        self._closed = False

    @property
    def load(self) -> Load:
        """How much there is to do."""
        return Load(self._waiting, self._tokens, self._under_way, self._admission.rate)

    def refusal(self, fresh: int = 1) -> OverloadedError | None:
        """Give why a request that brings so many tokens may not wait; None where it may."""
        return None if self._closed else self._admission.refusal(self._tokens, fresh)

    async def tag(self, responses: Sequence[Response], tagger: ResponseTagger) -> list[TaggedResponse]:
        """Tag the responses of one request, all with the same model.

        Parameters
        ----------
        responses
            With or without a comment.
        tagger
            The model at an operating point. It is used to the end of this request, whatever becomes the
            champion meanwhile.

        Returns
        -------
        list of TaggedResponse
            In the same order.

        Raises
        ------
        OverloadedError
            If too much waits already.
        LateError
            If the time is up, or the server is stopping.
        """
        if self._closed:
            raise LateError("the server is stopping")
        if not responses:
            return []
        wanted = self._admit(responses, tagger)
        request = self._enter(wanted, tagger)
        try:
            async with asyncio.timeout(self._timeout):
                await request.done
        except TimeoutError:
            raise LateError(f"the comments were not read within {self._timeout:g} s") from None
        finally:
            self._leave(request, wanted)
        return [
            replace(comment.row, response=response)
            for response, comment in zip(responses, wanted, strict=True)
            if comment.row is not None
        ]

    def close(self) -> None:
        """Take no more work; what is under way is finished in its thread, what waits is not read."""
        self._closed = True
        for request in self._requests:
            if not request.done.done():
                request.done.set_exception(LateError("the server is stopping"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, responses: Sequence[Response], tagger: ResponseTagger) -> list[_Comment]:
        """Give the comments of a request, those that others asked for too among them."""
        found: dict[str, _Comment] = {}
        for response in responses:
            text = response.comment or ""
            if text not in found:
                shared = self._comments.get((id(tagger), text))
                found[text] = shared or _Comment(tagger, response, _tokens_of(text), self._clock())
        fresh = sum(comment.tokens for comment in found.values() if not comment.entered)
        refusal = self.refusal(fresh)
        if refusal is not None:
            metrics.refused_request("queue_full")
            raise refusal
        return [found[response.comment or ""] for response in responses]

    def _enter(self, wanted: Sequence[_Comment], tagger: ResponseTagger) -> _Request:
        if not self._tokens:
            self._admission.note_idle()
        distinct = list(dict.fromkeys(wanted))
        waiting = deque(comment for comment in distinct if not comment.entered)
        done = asyncio.get_running_loop().create_future()
        request = _Request(tagger, waiting, len(distinct), done)
        for comment in distinct:
            if not comment.entered:
                comment.entered = True
                self._comments[id(tagger), comment.response.comment or ""] = comment
                self._tokens += comment.tokens
                self._waiting += 1
            comment.requests.append(request)
        if waiting:
            self._requests.append(request)
        self._pump()
        metrics.set_queue(self._waiting)
        return request

    def _leave(self, request: _Request, wanted: Sequence[_Comment]) -> None:
        """Forget a request; comments that nobody waits for any more are not read."""
        for comment in dict.fromkeys(wanted):
            if request in comment.requests:
                comment.requests.remove(request)
                if not comment.taken and comment.row is None:
                    self._hand_over(comment, request)

    def _hand_over(self, comment: _Comment, request: _Request) -> None:
        """Let another request that waits for a comment stand in line for it, or drop it."""
        if comment not in request.waiting:
            return
        request.waiting.remove(comment)
        if comment.requests:
            heir = comment.requests[0]
            heir.waiting.append(comment)
            if heir not in self._requests:
                self._requests.append(heir)
        else:
            self._forget(comment)
            self._tokens -= comment.tokens
            self._waiting -= 1

    def _forget(self, comment: _Comment) -> None:
        self._comments.pop((id(comment.tagger), comment.response.comment or ""), None)

    def _pump(self) -> None:
        """Start batches while there is work and a thread to do it."""
        while (
            not self._closed
            and self._under_way < _AT_ONCE
            and any(request.waiting for request in self._requests)
        ):
            if self._worth_gathering():
                if self._gathering is None:
                    loop = asyncio.get_running_loop()
                    self._gathering = loop.call_later(_GATHER_S, self._gathered)
                return
            self._start(self._next_batch())

    def _worth_gathering(self) -> bool:
        """Tell whether more requests are about to come: nothing is read, and just now many came together."""
        if self._under_way or len(self._requests) >= self._together:
            return False
        return self._clock() - self._last_done < _GATHER_S

    def _gathered(self) -> None:
        self._gathering = None
        self._together = 1
        self._pump()

    def _next_batch(self) -> list[_Comment]:
        """Take comments in turn from the requests that wait, all of the tagger whose turn it is."""
        batch: list[_Comment] = []
        tokens = 0
        tagger: ResponseTagger | None = None
        passed: list[_Request] = []
        while self._requests and tokens < self._batch_tokens:
            request = self._requests.popleft()
            if not request.waiting:
                continue
            if tagger is not None and request.tagger is not tagger:
                passed.append(request)
                continue
            tagger = request.tagger
            comment = request.waiting.popleft()
            comment.taken = True
            batch.append(comment)
            tokens += comment.tokens
            if request.waiting:
                self._requests.append(request)
        self._requests.extendleft(reversed(passed))
        self._tokens -= tokens
        self._waiting -= len(batch)
        if batch:
            metrics.saw_batch(len(batch), self._clock() - min(comment.since for comment in batch))
        return batch

    def _start(self, batch: list[_Comment]) -> None:
        if not batch:
            return
        self._under_way += 1
        loop = asyncio.get_running_loop()
        responses = [comment.response for comment in batch]
        task = loop.run_in_executor(self._threads, batch[0].tagger.tag, responses)
        began = self._clock()
        task.add_done_callback(lambda ended: self._ended(batch, ended, began))

    def _ended(self, batch: list[_Comment], task: asyncio.Future[list[TaggedResponse]], began: float) -> None:
        self._under_way -= 1
        now = self._clock()
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is None:
            if len(batch) > 1:  # a lone comment tells what a call costs, not what the machine can do
                read = sum(comment.tokens for comment in batch)
                self._admission.note_read(read, now - max(began, self._last_done))
            self._together = len({id(request) for comment in batch for request in comment.requests})
            for comment, row in zip(batch, task.result(), strict=True):
                self._settle(comment, row)
        elif len(batch) > 1 and isinstance(failure, Exception) and not self._closed:
            # One comment that the engine cannot stand must not cost the others their answer.
            half = len(batch) // 2
            self._start(batch[:half])
            self._start(batch[half:])
        else:
            self._fail(batch, failure)
        self._last_done = now
        self._pump()
        metrics.set_queue(self._waiting)

    def _settle(self, comment: _Comment, row: TaggedResponse) -> None:
        comment.row = row
        self._forget(comment)
        for request in comment.requests:
            request.missing -= 1
            if not request.missing and not request.done.done():
                request.done.set_result(None)

    def _fail(self, batch: list[_Comment], failure: BaseException) -> None:
        for comment in batch:
            self._forget(comment)
            for request in comment.requests:
                if not request.done.done():
                    request.done.set_exception(failure)


def _tokens_of(text: str) -> int:
    """Estimate the tokens of a comment; what is long is cut by the tokenizer, but not for nothing."""
    return len(text) // _CHARS_PER_TOKEN + _SPECIAL_TOKENS
