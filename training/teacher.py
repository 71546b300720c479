"""The teacher of a training: a registered model, and comments that nobody annotated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from data.responses import read_responses
from data.settings import Settings
from data.text import text_hash
from model.classifier import WEIGHTS
from model.comment_tagger import CommentTagger
from model.registry import find_model
from model.teaching import Teacher
from training.release import read_seen
from training.training_data import TrainingData


@dataclass(frozen=True)
class TeacherOptions:
    """Which teacher a training is to have.

    Attributes
    ----------
    model
        As `model.registry.find_model` takes it.
    unreviewed
        Responses whose comments it is to read as well; any format of `data.responses.read_responses`.
    columns
        Field name to the name of that file's column, where they differ.
    """

    model: str
    unreviewed: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedTeacher:
    """A teacher that is ready, what to say of it, and the hashes of the texts that it or its pupil learnt."""

    teacher: Teacher
    facts: Mapping[str, str]
    seen: frozenset[str]


def load_teacher(
    options: TeacherOptions,
    data: TrainingData,
    settings: Settings,
    on_read: Callable[[int, int], None] | None = None,
) -> LoadedTeacher:
    """Make a teacher ready, and say which it is.

    Parameters
    ----------
    options
        Which one, and what it is to read.
    data
        What the training learns from. Unreviewed comments whose text stands there, held out or not, are
        left out, and so are those that the teacher says nothing of.
    settings
        Registry, threads and engine.
    on_read
        Told how many comments the teacher has read, and of how many.

    Raises
    ------
    InputError, ModelError
        If there is no such model, it knows none of the codes, or the file cannot be understood.
    """
    location = find_model(options.model, settings)
    tagger = CommentTagger.load(location.folder, settings.threads, settings.engine, settings.home)
    with (location.folder / WEIGHTS).open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    unreviewed = _unreviewed(options, data, tagger)
    teacher = Teacher(tagger, weights, unreviewed, on_read=on_read)
    if not teacher.knows(data.taxonomy.active).any():
        raise InputError(f"the teacher {location.name} knows none of the taxonomy's reason codes")
    # What a pupil reaches on comments that its teacher has learnt by heart would say too much of it.
    seen = read_seen(location.folder).union(text_hash(comment)[:16] for comment in unreviewed)
    facts = {"teacher": location.name, "unreviewed": str(len(unreviewed))}
    return LoadedTeacher(teacher, facts, frozenset(seen))


def _unreviewed(options: TeacherOptions, data: TrainingData, tagger: CommentTagger) -> tuple[str, ...]:
    """Give the comments of the file that are read, each once; which they are hangs on their texts alone."""
    if options.unreviewed is None:
        return ()
    annotated = {text_hash(comment) for comment in data.comments}
    responses = read_responses(options.unreviewed, columns=options.columns)
    texts = {text_hash(one.comment): one.comment for one in responses if one.comment is not None}
    found = [texts[key] for key in sorted(texts.keys() - annotated)]
    kept = list[str]()
    for first in range(0, len(found), Teacher.most):
        part = found[first : first + Teacher.most]
        kept += [comment for comment, skip in zip(part, tagger.abstains(part), strict=True) if not skip]
        if len(kept) >= Teacher.most:
            break
    # The others stay unseen: they may be annotated one day, and measured on.
    return tuple(kept[: Teacher.most])
