"""What every endpoint works with: the settings, the store, the ranking, and the model if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from data.errors import ModelError
from data.scale import Scale
from data.settings import Settings
from data.store import Store
from data.taxonomy import Taxonomy
from serving.ingest import ResponseTagger
from serving.ranking import StoredRanking


@dataclass(frozen=True)
class ServiceState:
    """The parts of a running service.

    Attributes
    ----------
    loaded
        The model, or the sentence that says why there is none.
    """

    settings: Settings
    scale: Scale
    store: Store
    ranking: StoredRanking
    loaded: ResponseTagger | str

    @property
    def tagger(self) -> ResponseTagger:
        """The model; raises `ModelError` where there is none."""
        if isinstance(self.loaded, str):
            raise ModelError(self.loaded)
        return self.loaded

    @property
    def taxonomy(self) -> Taxonomy | None:
        """The model's reason codes; None where there is no model."""
        return None if isinstance(self.loaded, str) else self.loaded.taxonomy


def _state(request: Request) -> ServiceState:
    return cast(ServiceState, request.app.state.service)


State = Annotated[ServiceState, Depends(_state)]
