"""The plain way to fine-tune the encoder: mean and max pooling under one linear layer of sigmoids."""

from __future__ import annotations

from typing import Any

import torch
from measurement import Part, Prediction, Problem, set_apart, thresholds_of
from torch import nn

from data.annotations import POLARITIES
from model.decision import decide
from model.encoder import load_backbone, load_tokenizer, resolve_encoder
from model.fit_settings import FitSettings
from model.fitting import Fold, fit_network
from model.prediction import predict_network
from model.tokens import tokenize

MAX_TOKENS = 256
EPOCHS = 4


class PoolingNetwork(nn.Module):  # type: ignore[misc]  # torch is not type-checked here
    """Mean and max of the token states under one linear layer.

    Parameters
    ----------
    backbone
        Gives ``last_hidden_state`` of shape (n, tokens, width).
    width
        Of a token state.
    n_codes
        Number of reason codes.
    """

    def __init__(self, backbone: nn.Module, width: int, n_codes: int) -> None:
        super().__init__()
        self.backbone, self.width = backbone, width
        self.weight = nn.Parameter(torch.randn(n_codes * len(POLARITIES), 2 * width) * 0.02)
        self.bias = nn.Parameter(torch.full((n_codes, len(POLARITIES)), -2.0))
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give logits of shape (n, n_codes, n_polarities), and an attention that is the same everywhere."""
        states = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.unsqueeze(-1)
        mean = (states * real).sum(1) / real.sum(1)
        largest = states.masked_fill(real == 0, -1e4).max(dim=1).values
        pooled = self.dropout(torch.cat([mean, largest], dim=-1))
        logits = nn.functional.linear(pooled, self.weight.to(pooled.dtype))
        even = (mask / mask.sum(1, keepdim=True)).unsqueeze(1).expand(-1, len(self.bias), -1)
        return logits.float().view(-1, *self.bias.shape) + self.bias, even

    def probabilities(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give probabilities instead of logits; else as `forward`."""
        logits, even = self(ids, mask)
        return torch.sigmoid(logits), even


def settings_of(seed: int) -> FitSettings:
    """Give the settings: 4 epochs or 400 steps, AdamW at 1e-4 (head 1e-3), the last weights unaveraged."""
    return FitSettings(
        epochs=EPOCHS,
        least_steps=400,
        encoder_rate=1e-4,
        head_rate=1e-3,
        small=0,
        average=0.0,
        patience=3,
        consistency=0.0,
        contrast=0.0,
        seed=seed,
    )


def pooling(problem: Problem, seed: int) -> Prediction:
    """Fine-tune on all training comments but those set apart, keep the best epoch, and read the rest."""
    source = resolve_encoder()
    tokenizer = load_tokenizer(source.folder, MAX_TOKENS)
    torch.manual_seed(seed)
    backbone = load_backbone(source.folder, pretrained=True)
    network = PoolingNetwork(backbone, backbone.config.hidden_size, len(problem.labels.codes))
    fitting, validation = (problem.train.rows(rows) for rows in set_apart(problem.train))
    train, tune = (_fold(tokenizer, part) for part in (fitting, validation))
    result = fit_network(network, train, tune, 0, settings_of(seed))
    guessed, _ = predict_network(network, tune.comments, 0)
    thresholds = thresholds_of(guessed, validation)
    probabilities, _ = predict_network(network, tokenize(tokenizer, problem.held.comments), 0)
    notes = {"epochs": len(result.history), "best_epoch": result.best_epoch, "precision": result.precision}
    return Prediction(probabilities, decide(probabilities, thresholds), notes)


def _fold(tokenizer: Any, part: Part) -> Fold:
    return Fold(tokenize(tokenizer, part.comments), part.present, part.known)
