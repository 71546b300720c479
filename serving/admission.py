"""How much may wait: all of a burst, but no queue that stands, for whoever waits there gains nothing by it.

A burst is over in a while, and holding it back costs nobody anything. Under lasting overload a long queue
serves no more requests than a short one, only later; so once nothing has been free for a while, no more may
wait than keeps the machine busy.

References
----------
Nichols, K. & Jacobson, V. (2012). Controlling queue delay. ACM Queue 10(5).
Maurer, B. (2015). Fail at scale. ACM Queue 13(8): the same for the queues of servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

from data.errors import WhyscoreError

_RATE_MEMORY = 0.8  # what the batches so far keep of their weight in the running rate at each further one
_FIRST_RATE = 2000.0  # tokens a second, until something was measured
_BURST = 4  # what waits may take this part of the time that a request has; after as long it is no burst,
_STANDING = 30  # and may take this part


class OverloadedError(WhyscoreError):
    """More waits to be tagged than can be read in time.

    Attributes
    ----------
    retry_after_s
        When it is worth trying again.
    """

    status = 429
    title = "Too many requests"
    retry_after_s: int

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"more comments wait than can be read in time; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Admission:
    """Decides what may wait, by how quickly tokens were read so far.

    Parameters
    ----------
    most_tokens
        More never wait, except of a single request when nothing else waits.
    timeout_s
        The longest that a request waits for its answer.
    clock
        Seconds; only differences count.
    """

    def __init__(
        self, most_tokens: int, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._timeout, self._clock = most_tokens, timeout_s, clock
        self.rate = self._tokens_read = _FIRST_RATE
        self._seconds_reading = 1.0
        self._idle_at = clock()

    def note_read(self, tokens: int, seconds: float) -> None:
        """Take a batch into the running rate: tokens by seconds, each summed with waning weights.

        A mean of each batch's own rate would be far too high: of two that were read side by side the second
        one to end seems to have taken no time.
        """
        self._tokens_read = self._tokens_read * _RATE_MEMORY + tokens
        self._seconds_reading = self._seconds_reading * _RATE_MEMORY + seconds
        self.rate = self._tokens_read / max(self._seconds_reading, 1e-4)

    def note_idle(self) -> None:
        """Note that nothing waits, as each request does that finds it so."""
        self._idle_at = self._clock()

    def refusal(self, waiting: int, fresh: int = 1) -> OverloadedError | None:
        """Give why a request may not wait, or None where it may.

        Parameters
        ----------
        waiting
            Tokens that wait already.
        fresh
            Tokens that the request brings; at least 1 where they are not known yet.
        """
        if not waiting or not fresh:
            return None
        burst = min(self._most, self.rate * self._timeout / _BURST)
        # What waits already counts, not what comes: else a large request would never have its turn.
        stands = self._clock() - self._idle_at > self._timeout / _BURST
        full = stands and waiting > min(self._most, self.rate * self._timeout / _STANDING)
        if not full and waiting + fresh <= burst:
            return None
        return OverloadedError(min(60, max(1, ceil(waiting / self.rate))))
