"""Responses that a survey tool has only named, fetched from its API."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

TIMEOUT_SECONDS = 10.0
"""For each step; and all of an answer within three times as long."""

LARGEST_ANSWER = 5 * 2**20


class FetchError(Exception):
    """A response that could not be fetched now.

    Attributes
    ----------
    reason
        Why, in a few words that hold neither the token nor what was answered.
    wait
        How long the tool asks to be left alone; None where it does not say.
    """

    def __init__(self, reason: str, wait: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class GoneError(Exception):
    """A response that the tool does not have, or no longer."""


class Fetcher:
    """Asks a tool's API. Redirects are not followed: they could take the token elsewhere.

    Parameters
    ----------
    transport
        Carries requests; the network where None.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, transport=transport)

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def get(self, url: str, token: str) -> Any:
        """Give the JSON at an address.

        Parameters
        ----------
        url
            Of the tool's API, never taken from an event.
        token
            Shown as ``Authorization: Bearer``.

        Raises
        ------
        FetchError
            If it cannot be had now.
        GoneError
            If there is nothing there.
        """
        headers = {"authorization": f"Bearer {token}", "accept": "application/json", "user-agent": "Whyscore"}
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                _check(answer)
                return json.loads(_body(answer))
        except httpx.TimeoutException:
            raise FetchError("it did not answer in time") from None
        except httpx.HTTPError:
            raise FetchError("it cannot be reached") from None
        except (ValueError, RecursionError):  # whose message may quote the answer
            raise FetchError("its answer is not JSON") from None


def _check(answer: httpx.Response) -> None:
    status = answer.status_code
    if status == 200:
        return
    if status in (404, 410):
        raise GoneError
    if status in (401, 403):
        raise FetchError(f"it refused the access token (status {status})")
    raise FetchError(f"it answered with status {status}", _asked_wait(answer) if status == 429 else None)


def _asked_wait(answer: httpx.Response) -> timedelta:
    """Give how long to leave the tool alone; a minute where it does not say."""
    headers = answer.headers
    for name in ("retry-after", "x-ratelimit-app-global-minute-reset"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) < 9:
            return timedelta(seconds=max(1, int(text)))
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return timedelta(minutes=1)
    return max(timedelta(seconds=1), moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC))


def _body(answer: httpx.Response) -> bytes:
    end, parts, size = time.monotonic() + 3 * TIMEOUT_SECONDS, [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise FetchError("its answer is too large")
        if time.monotonic() > end:
            raise FetchError("it did not answer in time")
        parts.append(part)
    return b"".join(parts)
