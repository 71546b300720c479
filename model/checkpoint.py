"""Where a fit stands, on disk: after a kill it goes on from its last whole epoch. Nothing is pickled."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

TEACHER = "teacher"  # the stage in which a teacher reads


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit: `tensors` by name, and `facts` as plain JSON values."""

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


@dataclass(frozen=True)
class CheckpointPlace:
    """Where a fit keeps its state, and what it is of: a state with another key is not taken up."""

    path: Path
    key: str

    def of_stage(self, name: str) -> CheckpointPlace:
        """Give the place of a later stage of the same training."""
        return CheckpointPlace(self.path.with_suffix(f".{name}.safetensors"), f"{self.key} {name}")

    def clear(self) -> None:
        """Forget the state: the training is over."""
        self.path.unlink(missing_ok=True)


def write_checkpoint(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; a kill in the midst of it leaves the former one whole.

    Parameters
    ----------
    path
        The file.
    key
        What the fit is of: comments, targets and settings. Another fit's checkpoint is not taken up.
    checkpoint
        The state.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    save_file(tensors, str(unfinished), metadata={"key": key, "facts": json.dumps(checkpoint.facts)})
    os.replace(unfinished, path)


def read_checkpoint(path: Path, key: str) -> Checkpoint | None:
    """Read the checkpoint of a fit; None where there is none, or it is broken or another fit's."""
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            if about.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # not a dict
            return Checkpoint(tensors, json.loads(about["facts"]))
    except (OSError, ValueError, KeyError, SafetensorError):
        return None
