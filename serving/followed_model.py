"""The model that the registry names, followed: loaded beside the old one, checked, and only then swapped."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from data.errors import ModelError, WhyscoreError
from serving.ingest import ResponseTagger
from serving.model_check import check_model

MAX_WAIT_SECONDS = 60.0
"""A refused model is tried again after 2, 4, 8 ... seconds, at most so many: files may be on their way."""

log = logging.getLogger("whyscore.models")


@dataclass(frozen=True, eq=False)
class Serving:
    """A model at work.

    Attributes
    ----------
    uri
        What the registry knows it by.
    tagger
        The model.
    since
        When it took over.
    """

    uri: str
    tagger: ResponseTagger
    since: datetime


@dataclass(frozen=True)
class Refusal:
    """A model that was not taken.

    Attributes
    ----------
    uri, reason, at
        Which, why, and when it was tried last.
    tries
        How often.
    again
        When it is tried again, on the clock of `time.monotonic`.
    """

    uri: str
    reason: str
    at: datetime
    tries: int
    again: float


class FollowedModel:
    """The model that should be at work, kept up to date by `step`; one thread calls it, any may read.

    Parameters
    ----------
    role
        What logs call it: ``champion``.
    wanted
        Gives the URI of the model that should be at work, None for none; raises `ModelError` while
        nobody can tell.
    load
        Loads a model; raises `ModelError`.
    on_change
        Told of each model that was taken (`Serving`), or refused (`Refusal`).
    """

    def __init__(
        self,
        role: str,
        wanted: Callable[[], str | None],
        load: Callable[[str], ResponseTagger],
        on_change: Callable[[Serving | Refusal], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role, self._wanted, self._load = role, wanted, load
        self._on_change, self._clock = on_change, clock
        self.serving: Serving | None = None
        self.refused: Refusal | None = None
        self.problem: str | None = None

    def step(self) -> None:
        """Look once at what the registry wants, and follow it; raises nothing."""
        try:
            uri = self._wanted()
        except Exception as error:
            self._cannot_tell(_sentence(error))
            return
        if self.problem is not None:
            log.warning("the registry answers again (%s)", self._role)
            self.problem = None
        if uri is None:
            self._none_wanted()
        elif self.serving is not None and self.serving.uri == uri:
            self.refused = None
        elif not self._refused_lately(uri):
            self._change(uri)

    def _cannot_tell(self, reason: str) -> None:
        if self.problem is None:  # once, not every few seconds
            kept = "" if self.serving is None else f"; {self.serving.tagger.name} goes on serving"
            log.warning("the %s cannot be asked for: %s%s", self._role, reason, kept)
        self.problem = reason

    def _none_wanted(self) -> None:
        self.refused = None
        if self.serving is not None:
            log.warning("there is no %s any more: %s stops", self._role, self.serving.tagger.name)
            self.serving = None

    def _refused_lately(self, uri: str) -> bool:
        return self.refused is not None and self.refused.uri == uri and self._clock() < self.refused.again

    def _change(self, uri: str) -> None:
        try:
            tagger = self._load(uri)
            check_model(tagger)
        except Exception as error:  # whatever a broken model does, the old one stays
            if not isinstance(error, WhyscoreError):
                log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            self._refuse(uri, _sentence(error))
            return
        before = self.serving
        # One assignment: a request gets the old one or the new one, and finishes on the one that it got.
        self.serving, self.refused = Serving(uri, tagger, datetime.now(UTC)), None
        after = "" if before is None else f" after {before.tagger.name}"
        log.info("%s serves as %s%s", tagger.name, self._role, after)
        self._on_change(self.serving)

    def _refuse(self, uri: str, reason: str) -> None:
        tries = self.refused.tries + 1 if self.refused is not None and self.refused.uri == uri else 1
        again = self._clock() + min(2.0**tries, MAX_WAIT_SECONDS)
        self.refused = Refusal(uri, reason, datetime.now(UTC), tries, again)
        if tries == 1:
            log.error("%s is refused as %s: %s", uri, self._role, reason)
        self._on_change(self.refused)

    def tagger(self) -> ResponseTagger:
        """Give the model at work; raises `ModelError` with the reason where there is none."""
        serving = self.serving
        if serving is not None:
            return serving.tagger
        if self.problem is not None:
            raise ModelError(self.problem)
        if self.refused is not None:
            raise ModelError(self.refused.reason)
        raise ModelError(
            f"there is no {self._role} yet; whyscore train makes one, whyscore models promote names one"
        )


def _sentence(error: Exception) -> str:
    """Give the reason in a sentence; of an unforeseen error the kind, since its words could be anything."""
    return str(error) if isinstance(error, WhyscoreError) else f"it fails ({type(error).__name__})"
