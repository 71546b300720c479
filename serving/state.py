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
from serving.live_models import LiveModels
from serving.ranking import StoredRanking


@dataclass(frozen=True)
class ServiceState:
    """The parts of a running service.

    Attributes
    ----------
    models
        The model that serves, and the others.
    """

    settings: Settings
    scale: Scale
    store: Store
    ranking: StoredRanking
    models: LiveModels

    @property
    def tagger(self) -> ResponseTagger:
        """The model that serves; raises `ModelError` where there is none.

        Ask once for each batch, and finish the batch on what you got: it may be another the next time.
        """
        return self.models.current()

    def tagger_for(self, name: str | None) -> ResponseTagger:
        """Give the model of that name or version, None for the one that serves; also once for each batch.

        Raises
        ------
        NotFoundError
            If there is no such model.
        ModelError
            If there is none to serve, or it cannot be loaded.
        """
        return self.models.named(name)

    @property
    def loaded(self) -> ResponseTagger | str:
        """The model, or the sentence that says why there is none."""
        try:
            return self.models.current()
        except ModelError as error:
            return str(error)

    @property
    def taxonomy(self) -> Taxonomy | None:
        """The model's reason codes; None where there is no model."""
        loaded = self.loaded
        return None if isinstance(loaded, str) else loaded.taxonomy


def _state(request: Request) -> ServiceState:
    return cast(ServiceState, request.app.state.service)


State = Annotated[ServiceState, Depends(_state)]
