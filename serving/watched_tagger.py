"""A tagger whose answers are watched: counted, held against the training, offered to the challenger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from data.responses import Response
from data.tags import TaggedResponse
from data.taxonomy import Taxonomy
from model.operating_points import BALANCED, PointName
from serving import metrics
from serving.ingest import ResponseTagger

Watcher = Callable[[ResponseTagger, Sequence[TaggedResponse]], None]


@dataclass(frozen=True, eq=False)
class WatchedTagger:
    """A tagger that tells what it said.

    Attributes
    ----------
    inner
        The tagger itself.
    watcher
        Told of what it says at the balanced point: other points are other models to whoever compares.
    points
        The same model at operating points, so that each is one object and requests for it are read together.
    """

    inner: ResponseTagger
    watcher: Watcher | None = None
    points: dict[PointName, WatchedTagger] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The model as answers name it."""
        return self.inner.name

    @property
    def taxonomy(self) -> Taxonomy:
        """The reason codes that it knows."""
        return self.inner.taxonomy

    def tag(self, responses: Sequence[Response]) -> list[TaggedResponse]:
        """Tag responses, in the same order."""
        rows = self.inner.tag(responses)
        metrics.saw_tags(rows)
        if self.watcher is not None:
            self.watcher(self.inner, rows)
        return rows

    def at(self, point: PointName) -> WatchedTagger:
        """Give the same model at an operating point; raises `ModelError` where the model has none such."""
        inner = self.inner.at(point)
        if inner is self.inner:
            return self
        watcher = self.watcher if point == BALANCED else None
        return self.points.setdefault(point, WatchedTagger(inner, watcher))
