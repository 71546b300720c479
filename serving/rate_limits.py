"""Rate limits within a process: one token bucket for each key or address.

A bucket is one number, the moment at which it will be full again (the generic cell rate algorithm), on the
clock that nobody sets. N workers have N buckets, so together they let N times the rate through.

References
----------
ITU-T I.371 (2004). Traffic control and congestion control in B-ISDN. Annex A, GCRA.
Polli, R., Martinez, A. & Miller, D. (2025). RateLimit header fields for HTTP.
    draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from data.rates import Rate

MAX_BUCKETS = 10_000
"""Buckets kept; beyond it the full ones go, and then the oldest."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a bucket has to say on a request.

    Attributes
    ----------
    allowed
        Whether the request may pass.
    rate
        The rate that it was held against.
    remaining
        Requests that could follow at once.
    seconds
        Until the bucket is full or, where the request may not pass, until one can; rounded up.
    """

    allowed: bool
    rate: Rate
    remaining: int
    seconds: int

    def headers(self) -> dict[str, str]:
        """Give the answer's headers: ``RateLimit`` and its policy, and ``Retry-After`` on a refusal."""
        told = {
            "RateLimit-Policy": f'"default";q={self.rate.requests};w={self.rate.seconds}',
            "RateLimit": f'"default";r={self.remaining};t={self.seconds}',
        }
        return told if self.allowed else told | {"Retry-After": str(self.seconds)}


class RateLimits:
    """The buckets; of one event loop, so without locks.

    Parameters
    ----------
    clock
        Seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def take(self, name: str, rate: Rate) -> Allowance:
        """Take a token from a bucket, where it has one."""
        allowance, full_at = self._look(name, rate)
        if allowance.allowed:
            if len(self._full_at) >= MAX_BUCKETS and name not in self._full_at:
                self._make_room()
            self._full_at[name] = full_at
        return allowance

    def look(self, name: str, rate: Rate) -> Allowance:
        """Tell what `take` would say, and take nothing."""
        return self._look(name, rate)[0]

    def _look(self, name: str, rate: Rate) -> tuple[Allowance, float]:
        now, each = self._clock(), rate.seconds / rate.requests
        full_at = max(now, self._full_at.get(name, now)) + each
        room = rate.seconds - (full_at - now)
        if room < -1e-9:
            return Allowance(False, rate, 0, max(1, math.ceil(-room))), full_at
        remaining = math.floor(room / each + 1e-9)
        return Allowance(True, rate, remaining, math.ceil(full_at - now)), full_at

    def _make_room(self) -> None:
        now = self._clock()
        self._full_at = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= MAX_BUCKETS:
            del self._full_at[next(iter(self._full_at))]
