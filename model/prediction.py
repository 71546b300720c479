"""Prediction with torch: in which precision to compute, and the scores of many comments."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from model.network import ReasonCodeNetwork
from model.tokens import TokenizedComment, length_batches, pad

Arrays = NDArray[np.float32]


def bf16_pays(device: torch.device) -> bool:
    """Measure whether bf16 matrix products beat fp32 here; some processors only emulate them, very slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())

    def seconds(dtype: torch.dtype) -> float:
        left, right = torch.randn(256, 384).to(dtype), torch.randn(384, 1536).to(dtype)
        left @ right
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - start)
        return best

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Give the context in which the network computes in that precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def predict_network(
    network: ReasonCodeNetwork, comments: Sequence[TokenizedComment], pad_id: int, precision: str = "fp32"
) -> tuple[Arrays, list[Arrays]]:
    """Score tokenized comments, batched by length, without gradients.

    Returns
    -------
    probabilities : ndarray of shape (n, n_codes, n_polarities)
    attention : list of ndarray of shape (n_codes, tokens), one for each comment
    """
    network.eval()
    device = next(network.parameters()).device
    n_codes, n_polarities = network.bias.shape
    probabilities = np.zeros((len(comments), n_codes, n_polarities), np.float32)
    attention: list[Arrays] = [np.zeros((n_codes, 0), np.float32)] * len(comments)
    lengths = np.array([len(comment.ids) for comment in comments], np.int64)
    with torch.inference_mode(), autocast(device, precision):
        for batch in length_batches(lengths, tokens=4096):
            ids, mask = pad([comments[i] for i in batch], pad_id, stepped=True)
            logits, looked = network(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            probabilities[batch] = torch.sigmoid(logits).cpu().numpy()
            weights = looked.float().cpu().numpy()
            for place, i in enumerate(batch):
                attention[i] = weights[place, :, : lengths[i]]
    return probabilities, attention
