"""The models of a running service: the champion, versions that requests pin, and the challenger."""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from data.errors import ModelError, NotFoundError
from data.settings import Settings
from data.tags import TaggedResponse
from model.local_registry import UnknownVersionError, database_of
from model.registry import CHALLENGER, CHAMPION, aliased_version, tracking_uri
from serving import metrics
from serving.drift import ModelDrift
from serving.followed_model import FollowedModel, Refusal, Serving
from serving.ingest import ResponseTagger
from serving.model_check import check_model
from serving.shadow import Shadow
from serving.watched_tagger import WatchedTagger

MAX_POLL_SECONDS = 30.0
"""A registry that is gone is asked less and less often, at least this often."""

log = logging.getLogger("whyscore.models")


class LiveModels:
    """Hands out taggers, and keeps them up to date in the background. It may be used from many threads.

    Ask `current` once for each batch: the batch finishes on what it got, whatever is promoted meanwhile,
    and the old model is freed when the last batch lets it go.

    Parameters
    ----------
    settings
        Registry, how often it is asked, how many pinned versions are kept, the challenger.
    fixed
        A model that serves whatever the registry says; None follows the champion.
    load
        Loads a model by its URI; raises `ModelError`.
    """

    def __init__(
        self,
        settings: Settings,
        fixed: ResponseTagger | None = None,
        load: Callable[[str], ResponseTagger] | None = None,
    ) -> None:
        self._settings, self._fixed = settings, fixed
        self._load = load if load is not None else self._loaded
        self.champion = FollowedModel(CHAMPION, self._wanted_champion, self._load, self._champion_changed)
        self.challenger = FollowedModel(CHALLENGER, self._wanted_challenger, self._load)
        self.shadow = Shadow(self._challenging, settings.shadow_share)
        self._drift = ModelDrift()
        self._watched: WatchedTagger | None = None
        self._pinned: OrderedDict[str, ResponseTagger] = OrderedDict()
        self._gates: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if fixed is None:
            self.champion.step()
        else:
            _announce(fixed)

    def _loaded(self, uri: str) -> ResponseTagger:
        from serving.tagging import load_tagger

        return load_tagger(uri, self._settings)

    def start(self) -> None:
        """Follow the registry, and read for the challenger, in threads of their own."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._follow, name="whyscore-models", daemon=True)
        self._thread.start()
        self.shadow.start()

    def stop(self) -> None:
        """End the threads; what is loaded goes on working."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.shadow.stop()

    def _follow(self) -> None:
        wait, often = 0.0, self._settings.follow_seconds
        while not self._stopped.wait(wait):
            self.step()
            if often == 0:
                return
            gone = self.champion.problem is not None or self.challenger.problem is not None
            wait = min(max(wait, often) * 2, MAX_POLL_SECONDS) if gone else often

    def step(self) -> None:
        """Look once at what the registry says, and follow it; raises nothing."""
        if self._fixed is None:
            self.champion.step()
            metrics.registry_answers(self.champion.problem is None)
        self.challenger.step()

    def current(self) -> ResponseTagger:
        """Give the model that serves; raises `ModelError` with the reason where there is none."""
        tagger = self._fixed if self._fixed is not None else self.champion.tagger()
        watched = self._watched
        if watched is None or watched.inner is not tagger:  # one object, so that requests are read together
            watched = self._watched = WatchedTagger(tagger, self._watch)
        return watched

    def named(self, name: str | None) -> ResponseTagger:
        """Give a model by its name in answers, such as ``reason-codes/7``, or by its version alone.

        Parameters
        ----------
        name
            None for the one that serves. Another is loaded, and kept until others were asked for.

        Raises
        ------
        NotFoundError
            If there is no such version.
        ModelError
            If it cannot be loaded, or the registry cannot be reached.
        """
        if name is None:
            return self.current()
        serving = self.champion.serving
        tagger = self._fixed if self._fixed is not None else serving.tagger if serving is not None else None
        if tagger is not None and name == tagger.name:
            return self.current()
        model = self._settings.model_name
        found = re.fullmatch(rf"(?:{re.escape(model)}/)?([1-9][0-9]{{0,8}})", name)
        if found is None:
            raise NotFoundError(f"there is no such model; name a version as {model}/7")
        uri = f"models:/{model}/{found.group(1)}"
        if serving is not None and serving.uri == uri:
            return self.current()
        return self._pin(uri)

    def _pin(self, uri: str) -> ResponseTagger:
        with self._lock:
            if uri in self._pinned:
                self._pinned.move_to_end(uri)
                return self._pinned[uri]
            gate = self._gates.setdefault(uri, threading.Lock())
        with gate:  # the first one loads it, the others wait for that
            with self._lock:
                if uri in self._pinned:
                    return self._pinned[uri]
            try:
                tagger = self._load_pinned(uri)
                with self._lock:
                    self._pinned[uri] = tagger
                    while len(self._pinned) > self._settings.pinned_models:
                        self._pinned.popitem(last=False)
                return tagger
            finally:
                with self._lock:
                    self._gates.pop(uri, None)

    def _load_pinned(self, uri: str) -> ResponseTagger:
        try:
            tagger = self._load(uri)
        except UnknownVersionError as error:
            database = database_of(tracking_uri(self._settings))
            if self._fixed is None and database is not None and not database.is_file():
                raise ModelError("the model registry cannot be reached") from error
            name = uri.removeprefix("models:/").replace("/", " has no version ")
            raise NotFoundError(f"the registry's model {name}") from error
        check_model(tagger)
        return WatchedTagger(tagger)

    def status(self) -> dict[str, Any]:
        """Give what serves and what became of others, as `serving.schemas_models.ServingReply` has it."""
        serving, refused, problem = self.champion.serving, self.champion.refused, self.champion.problem
        tagger = self._fixed if self._fixed is not None else serving.tagger if serving is not None else None
        with self._lock:
            pinned = [tagger.name for tagger in self._pinned.values()]
        return {
            "model": None if tagger is None else tagger.name,
            "taxonomy_version": None if tagger is None else tagger.taxonomy.version,
            "follows": CHAMPION if self._fixed is None else None,
            "since": None if serving is None else serving.since.isoformat(),
            "registry_problem": problem,
            "refused": None if refused is None else _refusal(refused),
            "pinned": pinned,
        }

    def problems(self) -> list[str]:
        """Give what is wrong though it serves: a registry that is gone, a new model that was refused."""
        found = []
        if self.champion.problem is not None:
            found.append(f"the registry cannot be asked ({self.champion.problem})")
        if self.champion.refused is not None:
            found.append(f"{self.champion.refused.uri} is refused ({self.champion.refused.reason})")
        return found

    def _watch(self, tagger: ResponseTagger, rows: Sequence[TaggedResponse]) -> None:
        self._drift.saw(rows, getattr(tagger, "mix", None))
        self.shadow.offer(rows)

    def _wanted_champion(self) -> str:
        version = aliased_version(CHAMPION, self._settings)
        if version is None:
            raise ModelError(
                f"there is no {CHAMPION} of {self._settings.model_name}; train one with: whyscore train, "
                "or name one with: whyscore models promote"
            )
        return f"models:/{self._settings.model_name}/{version}"

    def _wanted_challenger(self) -> str | None:
        if self._settings.shadow_share == 0 or (self._settings.shadow is None and self._fixed is not None):
            return None
        if self._settings.shadow is not None:
            return self._settings.shadow
        version = aliased_version(CHALLENGER, self._settings)
        uri = None if version is None else f"models:/{self._settings.model_name}/{version}"
        serving = self.champion.serving
        return None if serving is not None and serving.uri == uri else uri  # promoted: it needs no shadow

    def _challenging(self) -> ResponseTagger | None:
        serving = self.challenger.serving
        return None if serving is None else serving.tagger

    def _champion_changed(self, change: Serving | Refusal) -> None:
        if isinstance(change, Serving):
            self._watched = None  # lets the old one go
            _announce(change.tagger)
            metrics.changed_model("served")
        elif change.tries == 1:
            metrics.changed_model("refused")


def _announce(tagger: ResponseTagger) -> None:
    metrics.serves(tagger.name, tagger.taxonomy.version, getattr(tagger, "created", None))


def _refusal(refused: Refusal) -> dict[str, Any]:
    model = refused.uri.removeprefix("models:/")
    return {"model": model, "reason": refused.reason, "at": refused.at.isoformat(), "tries": refused.tries}
