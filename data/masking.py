"""Personal data replaced by placeholders such as ``[card]``, with an exact way back for every place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from data.annotations import Annotation
from data.personal_data import Found, find_personal_data
from data.pseudonyms import Naming
from data.responses import Response
from data.tags import Evidence, TaggedResponse


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text without its personal data.

    Attributes
    ----------
    text
        With placeholders.
    replaced
        What they stand for, as places in the original, in order and apart from each other.
    """

    text: str
    replaced: tuple[Found, ...] = ()

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Give the part of the original that a part of the masked text stands for.

        A part that holds some of a placeholder stands for all that the placeholder replaced.
        """
        return self._moved(start, end, back=True)

    def to_masked(self, start: int, end: int) -> tuple[int, int]:
        """Give the part of the masked text that stands for a part of the original, whole placeholders."""
        return self._moved(start, end, back=False)

    def _moved(self, start: int, end: int, *, back: bool) -> tuple[int, int]:
        new_start, new_end, shift = start, end, 0
        for piece in self.replaced:
            size = len(placeholder(piece.kind))
            masked = (piece.start + shift, piece.start + shift + size)
            original = (piece.start, piece.end)
            (low, high), (new_low, new_high) = (masked, original) if back else (original, masked)
            if low < start < high:
                new_start = new_low
            elif start >= high:
                new_start = start + new_high - high
            if low < end < high:
                new_end = new_high
            elif end >= high:
                new_end = end + new_high - high
            shift += size - (piece.end - piece.start)
        return new_start, new_end


def placeholder(kind: str) -> str:
    """Give what stands for a kind of personal data, such as ``[card]``."""
    return f"[{kind}]"


def mask(text: str, kinds: Iterable[str]) -> MaskedText:
    """Replace personal data by placeholders; what is masked stays as it is when masked again.

    Parameters
    ----------
    text
        Any text.
    kinds
        As `data.personal_data.parse_kinds` gives them.
    """
    kinds, pieces = tuple(kinds), tuple[Found, ...]()
    while True:  # a piece can come to light when its neighbour is gone; each turn masks more of the text
        masked = _replaced(text, pieces)
        new = find_personal_data(masked.text, kinds)
        if not new:
            return masked
        found = [Found(*masked.to_original(start, end), kind) for start, end, kind in new]
        pieces = _united([*pieces, *found])


def _replaced(text: str, pieces: tuple[Found, ...]) -> MaskedText:
    parts, done = [], 0
    for piece in pieces:
        parts += [text[done : piece.start], placeholder(piece.kind)]
        done = piece.end
    return MaskedText("".join([*parts, text[done:]]), pieces)


def _united(pieces: list[Found]) -> tuple[Found, ...]:
    """Give overlapping pieces as one, which is of the longest one's kind."""
    united: list[Found] = []
    longest = 0
    for piece in sorted(pieces):
        size = piece.end - piece.start
        if united and piece.start < united[-1].end:
            last = united[-1]
            kind = piece.kind if size > longest else last.kind
            united[-1] = Found(last.start, max(last.end, piece.end), kind)
            longest = max(longest, size)
        else:
            united.append(piece)
            longest = size
    return tuple(united)


@dataclass(frozen=True, slots=True)
class MaskedResponse:
    """A response without personal data in its comment and its segments.

    Attributes
    ----------
    response
        The masked one.
    original
        As it came.
    comment
        The way between the two comments.
    """

    response: Response
    original: Response
    comment: MaskedText

    def restore(self, row: TaggedResponse) -> TaggedResponse:
        """Give the tags of the masked response as tags of the original one."""
        restored = replace(row, response=self.original)
        return _with_evidence(restored, self.original.comment or "", self.comment, back=True)


def mask_response(response: Response, kinds: Iterable[str], naming: Naming | None = None) -> MaskedResponse:
    """Mask a response's comment, its segments' values and who answered.

    Parameters
    ----------
    response
        As it came.
    kinds
        As `data.personal_data.parse_kinds` gives them.
    naming
        Gives the pseudonym of a respondent whose id holds personal data: a placeholder would make all
        people one. None leaves the id, for a response that is not kept.
    """
    kinds = tuple(kinds)
    comment = mask(response.comment or "", kinds)
    segments = {name: mask(value, kinds).text for name, value in response.segments.items()}
    text = None if response.comment is None else comment.text
    person = response.respondent_id
    if naming is not None and person is not None and find_personal_data(person, kinds):
        person = naming(person)
    masked = replace(response, comment=text, segments=segments, respondent_id=person)
    return MaskedResponse(masked, response, comment)


def mask_tagged(row: TaggedResponse, kinds: Iterable[str], naming: Naming) -> TaggedResponse:
    """Mask a response that has its tags; their evidence names the same words in the masked comment."""
    masked = mask_response(row.response, kinds, naming)
    if masked.response == row.response:
        return row
    moved = replace(row, response=masked.response)
    return _with_evidence(moved, masked.comment.text, masked.comment, back=False)


def mask_annotation(row: Annotation, kinds: Iterable[str]) -> Annotation:
    """Mask the comment of an annotation, and the words of it that the annotator named.

    Those stay words of the comment: a part of what is masked gives the whole placeholder.
    """
    kinds = tuple(kinds)
    masked = mask(row.comment, kinds)

    def named(words: str) -> str:
        at = row.comment.find(words)
        if at < 0:
            return mask(words, kinds).text
        start, end = masked.to_masked(at, at + len(words))
        return masked.text[start:end]

    labels = tuple(
        label if label.evidence is None else replace(label, evidence=named(label.evidence))
        for label in row.labels
    )
    return replace(row, comment=masked.text, labels=labels)


def _with_evidence(row: TaggedResponse, text: str, way: MaskedText, *, back: bool) -> TaggedResponse:
    def moved(evidence: Evidence) -> Evidence:
        to = way.to_original if back else way.to_masked
        start, end = to(evidence.start, evidence.end)
        return Evidence(start, end, text[start:end])

    tags = tuple(replace(tag, evidence=tuple(map(moved, tag.evidence))) for tag in row.tags)
    return replace(row, tags=tags)
