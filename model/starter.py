"""The starter: what an encoder and the definition reader learnt from the comments of many taxonomies.

A new taxonomy is read from its definitions alone by it, and every fine-tuning begins at it. It is
kept as what it adds to the official weights: for each matrix a product of two thin ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from data.errors import ModelError
from model.network import ReasonCodeNetwork

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "starter" / "starter.safetensors"
RANK = 32
"""Of what is kept of a matrix's change."""


@dataclass(frozen=True, eq=False)
class Starter:
    """Weights to begin at.

    Attributes
    ----------
    encoder_sha256
        Of the encoder's official weights, which it adds to.
    centre
        Mean direction of the definitions it was made from, shape (width,): what all definitions share.
    reader
        The definition reader's weights by name.
    changes
        By parameter of the encoder: (left, right), whose product is added, or (whole,).
    thresholds
        At which a (code, polarity) known by its definition alone is tagged, by polarity.
    """

    encoder_sha256: str
    centre: torch.Tensor
    reader: dict[str, torch.Tensor]
    changes: dict[str, tuple[torch.Tensor, ...]]
    thresholds: tuple[float, ...]

    def apply(self, network: ReasonCodeNetwork) -> None:
        """Take a network with the encoder's official weights to the starter's, in place."""
        parameters = dict(network.backbone.named_parameters())
        with torch.no_grad():
            for name, parts in self.changes.items():
                change = parts[0].float() if len(parts) == 1 else parts[0].float() @ parts[1].float()
                parameters[name] += change
        network.reader.load_state_dict({name: value.float() for name, value in self.reader.items()})

    def digest(self) -> str:
        """Give a hash of all of it."""
        found = hashlib.sha256(repr(self.thresholds).encode())
        pieces = {"": (self.centre,), **{name: (one,) for name, one in self.reader.items()}, **self.changes}
        for name, parts in sorted(pieces.items()):
            found.update(name.encode())
            for part in parts:
                found.update(part.float().numpy().tobytes())
        return found.hexdigest()

    def write(self, path: Path) -> None:
        """Write the starter as safetensors in half precision; the file appears when it is whole."""
        tensors = {"centre": self.centre.float()}
        tensors |= {f"reader.{name}": value.half() for name, value in self.reader.items()}
        for name, parts in self.changes.items():
            tensors |= {f"change.{i}.{name}": part.half() for i, part in enumerate(parts)}
        about = {"encoder_sha256": self.encoder_sha256, "thresholds": json.dumps(self.thresholds)}
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file({n: t.contiguous() for n, t in tensors.items()}, str(unfinished), metadata=about)
        os.replace(unfinished, path)


def starter_between(
    before: dict[str, torch.Tensor],
    network: ReasonCodeNetwork,
    encoder_sha256: str,
    centre: torch.Tensor,
    thresholds: tuple[float, ...],
    rank: int = RANK,
) -> Starter:
    """Make a starter of what training changed.

    Parameters
    ----------
    before
        The encoder's official parameters by name.
    network
        Trained.
    encoder_sha256, centre, thresholds
        See `Starter`.
    rank
        Singular vectors kept of each matrix's change (Eckart and Young 1936). Word embeddings are
        kept to the same rank; vectors whole.
    """
    changes: dict[str, tuple[torch.Tensor, ...]] = {}
    for name, parameter in network.backbone.named_parameters():
        change = (parameter.detach() - before[name]).float()
        if change.ndim == 2:
            left, size, right = torch.svd_lowrank(change, q=min(rank + 8, *change.shape), niter=4)
            keep = min(rank, size.numel())
            root = size[:keep].sqrt()
            changes[name] = (left[:, :keep] * root, (right[:, :keep] * root).t())
        else:
            changes[name] = (change,)
    reader = {name: value.detach().clone() for name, value in network.reader.state_dict().items()}
    return Starter(encoder_sha256, centre, reader, changes, thresholds)


def read_starter(path: Path) -> Starter:
    """Read a starter file.

    Raises
    ------
    ModelError
        If it is not one.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # not a dict
        changes: dict[str, dict[int, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("change."):
                _, place, parameter = name.split(".", 2)
                changes.setdefault(parameter, {})[int(place)] = value
        reader = {n.removeprefix("reader."): v for n, v in tensors.items() if n.startswith("reader.")}
        return Starter(
            about["encoder_sha256"],
            tensors["centre"],
            reader,
            {name: tuple(parts[i] for i in sorted(parts)) for name, parts in changes.items()},
            tuple(json.loads(about["thresholds"])),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError("the file does not hold a starter", file=path) from error


@cache
def find_starter(encoder_sha256: str, home: Path | None = None) -> Starter | None:
    """Find the starter of an encoder: one made here, or the shipped one; None where neither fits.

    Parameters
    ----------
    encoder_sha256
        Of the encoder's weights.
    home
        Where starters that are made here lie.
    """
    own = None if home is None else starter_path(home, encoder_sha256)
    for path in (own, SHIPPED):
        if path is not None and path.is_file():
            found = read_starter(path)
            if found.encoder_sha256 == encoder_sha256:
                return found
    return None


def directions(means: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Give what sets each definition apart from what all definitions share, as vectors of length 1.

    Parameters
    ----------
    means
        A vector of length 1 for each code, shape (n_codes, width).
    centre
        Shape (width,).
    """
    return nn.functional.normalize(means - centre, dim=-1)


def starter_path(home: Path, encoder_sha256: str) -> Path:
    """Give the file in which a starter that is made here is kept."""
    return home / "starters" / f"{encoder_sha256[:16]}.safetensors"
