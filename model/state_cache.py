"""Token states of a frozen encoder, kept on disk: what a head is fitted on, without reading comments again.

They lie in half precision, memory-mapped, in a folder for each encoder. A comment is found by the hash of
its text. Everything here can be made anew, so the folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.tokens import TokenizedComment, length_batches, pad

PART = 2000
"""Comments that are written together: what an interrupted run loses at most."""
_FORSAKEN_S = 24 * 3600
_INDEX = ".index.npy"
_STATES = ".states.npy"

Halves = NDArray[np.float16]
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class CachedStates:
    """Token states of some comments.

    Attributes
    ----------
    places
        For each comment its states, an array of shape (tokens, width) in half precision.
    """

    places: tuple[Halves, ...]

    def __len__(self) -> int:
        """How many comments."""
        return len(self.places)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each comment, shape (n,)."""
        return np.array([len(place) for place in self.places], np.int64)

    def batch(self, rows: Sequence[int] | NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the states of some comments, padded to the longest of them.

        Returns
        -------
        states : tensor of shape (n, tokens, width), single precision
        attention_mask : tensor of shape (n, tokens)
        """
        chosen = [self.places[int(row)] for row in rows]
        longest = max(len(place) for place in chosen)
        states = np.zeros((len(chosen), longest, chosen[0].shape[1]), np.float32)
        mask = np.zeros((len(chosen), longest), np.int64)
        for row, place in enumerate(chosen):
            states[row, : len(place)] = place
            mask[row, : len(place)] = 1
        return torch.from_numpy(states), torch.from_numpy(mask)


def encoder_digest(backbone: nn.Module, tokenizer: Any, prefix: str) -> str:
    """Give the SHA-256 of all that decides a comment's token states: weights, tokenizer and prefix."""
    digest = hashlib.sha256(f"{tokenizer.to_str()}\n{prefix}\n".encode())
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


class StateCache:
    """Keeps token states below a folder, up to a size; those that were used longest ago go first.

    Parameters
    ----------
    folder
        Made when first used.
    most_bytes
        What may stay there.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes

    def states(
        self,
        backbone: nn.Module,
        digest: str,
        comments: Sequence[str],
        tokens: Sequence[TokenizedComment],
        pad_id: int,
        on_progress: Told | None = None,
    ) -> CachedStates:
        """Give the token states of comments, from the cache or by the encoder.

        Parameters
        ----------
        backbone
            The encoder.
        digest
            From `encoder_digest`.
        comments, tokens
            Texts, and the same tokenized.
        pad_id
            The tokenizer's padding token.
        on_progress
            Told (comments read, comments to read).
        """
        home = self.folder / digest[:32]
        keys = [text_key(comment) for comment in comments]
        wanted = set(keys)
        found = _find(home, wanted)
        new = {key: i for i, key in enumerate(keys) if key not in found}
        rows = [*new.values()]
        scratch: Path | None = None  # of what the cache has no room for
        if rows:
            width = backbone.config.hidden_size
            needed = 2 * width * sum(len(tokens[i].ids) for i in rows) + 64 * len(rows)
            if self._make_room(needed, keep=home):
                place = home
            else:
                place = scratch = Path(tempfile.mkdtemp(prefix="whyscore-states-"))
            place.mkdir(parents=True, exist_ok=True)
            for start in range(0, len(rows), PART):
                part = rows[start : start + PART]
                told = on_progress and _shifted(on_progress, start, len(rows))
                read = [tokens[i] for i in part]
                with _Part(place, [keys[i] for i in part], [len(one.ids) for one in read], width) as places:
                    _encode(backbone, read, pad_id, places, told)
            found |= _find(place, set(new))
        states = CachedStates(tuple(found[key] for key in keys))
        if scratch is not None:  # it goes with the states
            weakref.finalize(states, shutil.rmtree, scratch, ignore_errors=True)
        return states

    def _make_room(self, needed: int, keep: Path) -> bool:
        """Remove what was used longest ago until `needed` bytes fit; False where they never do."""
        _sweep(self.folder)
        parts = []
        for index in self.folder.glob(f"*/*{_INDEX}"):
            with contextlib.suppress(OSError):
                states = _states_of(index)
                size = index.stat().st_size + states.stat().st_size
                parts.append((index.parent == keep, index.stat().st_mtime, size, index))
        total = sum(size for _, _, size, _ in parts)
        mine = sum(size for own, _, size, _ in parts if own)
        if mine + needed > self.most_bytes:
            return False
        for _, _, size, index in sorted(parts, key=lambda part: part[:2]):
            if total + needed <= self.most_bytes:
                break
            _remove(index)
            total -= size
        return True


def text_key(comment: str) -> bytes:
    """Give the key of a comment: 16 bytes of the SHA-256 of its very text."""
    return hashlib.sha256(comment.encode("utf-8", "surrogatepass")).digest()[:16]


def _shifted(tell: Told, start: int, total: int) -> Callable[[int], None]:
    return lambda done: tell(start + done, total)


def _sweep(folder: Path) -> None:
    """Remove what a killed run left unfinished, once nobody can be at work on it any more."""
    for path in folder.glob("*/*"):
        whole = path.name.endswith(_INDEX) or path.with_name(path.name.split(".")[0] + _INDEX).exists()
        with contextlib.suppress(OSError):
            if not whole and time.time() - path.stat().st_mtime > _FORSAKEN_S:
                path.unlink()


def _states_of(index: Path) -> Path:
    return index.with_name(index.name.removesuffix(_INDEX) + _STATES)


def _remove(index: Path) -> None:
    for path in (index, _states_of(index)):
        with contextlib.suppress(OSError):
            path.unlink()


def _find(home: Path, wanted: set[bytes]) -> dict[bytes, Halves]:
    """Give the states that a folder holds of the wanted comments; a part that is broken is removed."""
    found: dict[bytes, Halves] = {}
    for index in sorted(home.glob(f"*{_INDEX}")):
        try:
            table = np.load(index, allow_pickle=False)
            states = np.load(_states_of(index), mmap_mode="r", allow_pickle=False)
            if states.dtype != np.float16 or int(table[:, 2:].sum(axis=1).max(initial=0)) > len(states):
                raise ValueError
            hits = {row[:2].tobytes(): row[2:] for row in table if row[:2].tobytes() in wanted}
        except (OSError, ValueError, EOFError, IndexError):
            _remove(index)
            continue
        if hits:
            with contextlib.suppress(OSError):
                os.utime(index)
        found |= {key: states[start : start + length] for key, (start, length) in hits.items()}
    return found


class _Part:
    """A part under construction: its arrays appear under their names when it is whole."""

    def __init__(self, home: Path, keys: list[bytes], lengths: list[int], width: int) -> None:
        self._home, self._name = home, uuid.uuid4().hex
        self._table = np.zeros((len(keys), 4), np.int64)
        self._table[:, :2] = np.frombuffer(b"".join(keys), np.int64).reshape(-1, 2)
        self._table[1:, 2], self._table[:, 3] = np.cumsum(lengths)[:-1], lengths
        self._width = width

    def __enter__(self) -> list[Halves]:
        self._unfinished = self._home / f"{self._name}.part"
        shape = (int(self._table[:, 3].sum()), self._width)
        self._states = np.lib.format.open_memmap(self._unfinished, "w+", np.float16, shape)
        return [self._states[start : start + length] for start, length in self._table[:, 2:]]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._states.flush()
        del self._states
        if kind is not None:
            self._unfinished.unlink(missing_ok=True)
            return
        os.replace(self._unfinished, self._home / f"{self._name}{_STATES}")
        with self._unfinished.open("wb") as file:
            np.save(file, self._table, allow_pickle=False)
        os.replace(self._unfinished, self._home / f"{self._name}{_INDEX}")


def _encode(
    backbone: nn.Module,
    tokens: Sequence[TokenizedComment],
    pad_id: int,
    places: list[Halves],
    tell: Callable[[int], None] | None,
) -> None:
    """Write the token states of comments into their places."""
    backbone.eval()
    device = next(backbone.parameters()).device
    lengths = np.array([len(one.ids) for one in tokens], np.int64)
    done = 0
    for batch in length_batches(lengths, tokens=4096):
        ids, mask = pad([tokens[i] for i in batch], pad_id, stepped=True)
        with torch.inference_mode():
            states = backbone(
                input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
            ).last_hidden_state
        halves = states.to(torch.float16).cpu().numpy()
        for row, i in enumerate(batch):
            places[i][:] = halves[row, : lengths[i]]
        done += len(batch)
        if tell:
            tell(done)
