"""Comments as token arrays, batched by length so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TokenizedComment:
    """A comment's token ids and, for each, its place in the text in code points (0, 0 for special tokens)."""

    ids: NDArray[np.int64]
    offsets: tuple[tuple[int, int], ...]


def tokenize(tokenizer: Any, comments: Sequence[str], prefix: str = "") -> list[TokenizedComment]:
    """Tokenize comments with a `tokenizers.Tokenizer`; the text goes in as it is.

    A comment is nothing but text: ``[SEP]`` or ``<pad>`` in it neither ends it nor hides a word.

    Parameters
    ----------
    tokenizer
        Of the encoder, as `model.encoder.load_tokenizer` gives it.
    comments
        Texts.
    prefix
        What the encoder reads before each of them; its tokens count as special, so that offsets are
        those of the comment.
    """
    read = tokenizer.encode_batch([prefix + comment for comment in comments])
    signs, unknown = _signs(tokenizer)
    frame = tokenizer.num_special_tokens_to_add(False)
    found = []
    for one in read:
        ids = one.ids
        if sum(map(signs.__contains__, ids)) > frame:
            places = zip(ids, one.offsets, strict=True)
            ids = [unknown if b > a and token in signs else token for token, (a, b) in places]
        found.append(TokenizedComment(np.asarray(ids, np.int64), _within(one.offsets, len(prefix))))
    return found


def _signs(tokenizer: Any) -> tuple[set[int], int]:
    """Give the tokens that stand for no text, and the one for what is not in the vocabulary.

    Tokenizers of sentence pieces find the first in texts, whatever `encode_special_tokens` says.
    """
    signs = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    names = (tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>"))
    unknown = next((number for number in names if number is not None), None)
    return (set(), 0) if unknown is None else (signs - {unknown}, unknown)


def _within(offsets: Sequence[tuple[int, int]], start: int) -> tuple[tuple[int, int], ...]:
    """Give places in the text from `start` on; what lies before it has none."""
    if not start:
        return tuple(offsets)
    return tuple((max(0, a - start), b - start) if b > start else (0, 0) for a, b in offsets)


def pad(
    comments: Sequence[TokenizedComment], pad_id: int, *, stepped: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad tokenized comments to the longest among them.

    Parameters
    ----------
    stepped
        Whether to round the length up to one of few steps: torch compiles its products anew for every
        shape that it meets, which costs more than some padding where shapes are many.

    Returns
    -------
    input_ids, attention_mask : ndarrays of shape (n, tokens)
    """
    longest = max(len(comment.ids) for comment in comments)
    if stepped:
        step = 8 if longest <= 64 else 16 if longest <= 128 else 32
        longest = -(-longest // step) * step
    ids = np.full((len(comments), longest), pad_id, np.int64)
    mask = np.zeros((len(comments), longest), np.int64)
    for row, comment in enumerate(comments):
        ids[row, : len(comment.ids)] = comment.ids
        mask[row, : len(comment.ids)] = 1
    return ids, mask


def length_batches(lengths: NDArray[np.int64], tokens: int, most: int = 256) -> list[NDArray[np.intp]]:
    """Group comments of like length, so that each group padded holds at most about `tokens` tokens.

    Parameters
    ----------
    lengths
        Tokens of each comment, shape (n,).
    tokens
        The padded size of a group; a single longer comment makes a group of its own.
    most
        The most comments of a group.

    Returns
    -------
    list of ndarray
        Indices, each comment once.
    """
    order = np.argsort(lengths, kind="stable")
    groups: list[NDArray[np.intp]] = []
    start = 0
    for end in range(1, len(order) + 1):
        full = end - start >= most
        over = end < len(order) and (end - start + 1) * int(lengths[order[end]]) > tokens
        if end == len(order) or full or over:
            groups.append(order[start:end])
            start = end
    return groups


def shuffled_batches(
    lengths: NDArray[np.int64], size: int, rng: np.random.Generator, pool: int = 50
) -> list[NDArray[np.intp]]:
    """Group comments at random, but alike in length within each pool of `pool` batches.

    Parameters
    ----------
    lengths
        Tokens of each comment, shape (n,).
    size
        Comments in a batch.
    rng
        Decides the order.

    Returns
    -------
    list of ndarray
        Indices, each comment once, batches in random order.
    """
    order = rng.permutation(len(lengths))
    batches: list[NDArray[np.intp]] = []
    for start in range(0, len(order), size * pool):
        part = order[start : start + size * pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def memory_parts(
    batch: NDArray[np.intp], lengths: NDArray[np.int64], readings: float = 1.0, most: int = 32 * 64 * 64
) -> list[NDArray[np.intp]]:
    """Split a batch so that what its attention keeps for the way back stays within bounds.

    Parameters
    ----------
    batch
        Indices of comments.
    lengths
        Tokens of each comment, shape (n,).
    readings
        How often each comment is read at once, on average.
    most
        Bound on a part's readings times the square of its longest; a single comment may exceed it.

    Returns
    -------
    list of ndarray
        The batch itself where it is within the bound, else parts of like size, each index once.
    """
    longest = int(lengths[batch].max())
    size = max(1, int(most / (readings * longest**2)))
    return np.array_split(batch, -(-len(batch) // size))
