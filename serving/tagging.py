"""Responses to tagged responses: one bad comment is an error of its row, never of its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from data.errors import ModelError
from data.responses import Response
from data.settings import Settings
from data.tags import Status, TaggedResponse
from data.taxonomy import Taxonomy
from model.code_mix import CodeMix, read_code_mix
from model.comment_tagger import CommentTagger
from model.operating_points import BALANCED, PointName
from model.registry import find_model


@dataclass(frozen=True, eq=False)
class Tagger:
    """A model that is ready to tag responses; safe to share between threads.

    Attributes
    ----------
    model_name
        The model, such as ``reason-codes/7``.
    reader
        The model itself.
    max_comment_chars
        A longer comment gets the status ``error``.
    point
        The operating point.
    points
        The same model at other points, so that each is one object and requests for it are read together.
    mix
        The codes that it gave to comments like those of its training, where the model tells.
    created
        When it was registered, in seconds since 1970, where the registry tells.
    """

    model_name: str
    reader: CommentTagger
    max_comment_chars: int
    point: PointName = BALANCED
    points: dict[PointName, Tagger] = field(default_factory=dict, repr=False)
    mix: CodeMix | None = None
    created: float | None = None

    @property
    def name(self) -> str:
        """Model and operating point as answers name them: ``reason-codes/7@high_recall``.

        The balanced point goes without saying. Tags of two points differ as those of two models do.
        """
        return self.model_name if self.point == BALANCED else f"{self.model_name}@{self.point}"

    def at(self, point: PointName) -> Tagger:
        """Give the same model at an operating point; raises `ModelError` where the model has none such."""
        if point == self.point:
            return self
        self.reader.description.threshold_array(point)
        self.points.setdefault(self.point, self)
        return self.points.setdefault(point, replace(self, point=point))

    @property
    def taxonomy(self) -> Taxonomy:
        """The reason codes that the model was trained on."""
        return self.reader.taxonomy

    def tag(self, responses: Sequence[Response]) -> list[TaggedResponse]:
        """Tag responses.

        Parameters
        ----------
        responses
            With or without a score or a comment.

        Returns
        -------
        list of TaggedResponse
            In the same order; each names the model and the taxonomy's version.
        """
        problems = [self.problem(response.comment) for response in responses]
        readable = [
            i
            for i, r in enumerate(responses)
            if r.comment is not None and r.comment.strip() and not problems[i]
        ]
        comments = [responses[i].comment or "" for i in readable]
        verdicts = dict(zip(readable, self.reader.verdicts(comments, self.point), strict=True))
        version = self.taxonomy.version
        rows = []
        for i, response in enumerate(responses):
            if problems[i]:
                rows.append(TaggedResponse(response, "error", (), self.name, version, problems[i]))
            elif i not in verdicts:
                rows.append(TaggedResponse(response, "no_comment", (), self.name, version))
            else:
                tags, abstained = verdicts[i].tags, verdicts[i].abstained
                status: Status = "tagged" if tags else "uncoded"
                rows.append(TaggedResponse(response, status, tags, self.name, version, abstained=abstained))
        return rows

    def problem(self, comment: str | None) -> str | None:
        """Tell why a comment cannot be read; None where it can."""
        if comment is None:
            return None
        if len(comment) > self.max_comment_chars:
            return f"the comment has {len(comment)} characters; {self.max_comment_chars} are the most"
        if not comment.isascii() and any("\ud800" <= char <= "\udfff" for char in comment):
            return "the comment holds half of a character (a lone surrogate)"
        return None


def load_tagger(uri: str | None, settings: Settings) -> Tagger:
    """Find a model and make it ready.

    Parameters
    ----------
    uri
        As `model.registry.find_model` takes it; None for the champion.
    settings
        Registry, threads and limits.

    Raises
    ------
    ModelError
        If there is no such model or it is broken.
    """
    location = find_model(uri, settings)
    reader = CommentTagger.load(location.folder, settings.threads, settings.engine, settings.home)
    if not reader.description.codes:
        raise ModelError("the model knows no reason codes", file=location.folder)
    return Tagger(
        location.name,
        reader,
        settings.max_comment_chars,
        mix=read_code_mix(location.folder),
        created=location.created,
    )
