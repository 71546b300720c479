"""Rate limits as people write them: ``600/minute``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from data.errors import InputError

PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(rf"([1-9][0-9]{{0,8}})\s*/\s*({'|'.join(PERIODS)})")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds; all of them may come at once."""

    requests: int
    seconds: int


def parse_rate(text: str) -> Rate | None:
    """Read a rate such as ``600/minute``; ``none`` is no limit, and None.

    Raises
    ------
    InputError
        If it is not one.
    """
    if text.strip().casefold() == "none":
        return None
    parts = _RATE.fullmatch(text.strip().casefold())
    if parts is None:
        raise InputError(
            f"a rate is a number per second, minute, hour or day, such as 600/minute, or none; not '{text}'"
        )
    return Rate(int(parts[1]), PERIODS[parts[2]])
