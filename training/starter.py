"""Makes a starter: fine-tunes an encoder and the definition reader on the comments of many taxonomies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.annotations import POLARITIES
from data.starter_corpus import CorpusDomain, read_corpus
from model.averaging import WeightAverage
from model.decision import decide
from model.definitions import code_texts, mean_directions
from model.dropout import draw_from_bytes
from model.encoder import load_backbone, load_tokenizer, resolve_encoder, token_limit
from model.fit_settings import FitSettings
from model.fitting import optimizer_for
from model.labels import LabelSpace
from model.network import ReasonCodeNetwork, masked_loss
from model.prediction import autocast, bf16_pays
from model.prompts import comment_prefix
from model.starter import Starter, directions, starter_between
from model.tokens import TokenizedComment, length_batches, pad, shuffled_batches, tokenize
from model.vocabulary import TrimmedVocabulary

HELD_OUT = ("credit-card", "gym-chain", "online-fashion", "public-transport")
"""Domains that no weight is fitted on: their codes tell how well definitions alone are read."""
_GRID = np.round(np.arange(0.1, 0.75, 0.025), 3)


@dataclass(frozen=True)
class StarterFigures:
    """How the held-out domains are tagged from their definitions alone: F1 over all pairs, and its codes."""

    micro_f1: float
    macro_f1: float
    thresholds: tuple[float, ...]
    domains: int
    codes: int


@dataclass(frozen=True, eq=False)
class _Part:
    """A domain ready for the network."""

    tokens: list[TokenizedComment]
    lengths: NDArray[np.int64]
    present: NDArray[np.float32]
    known: NDArray[np.float32]
    definition: torch.Tensor


def make_starter(
    encoder: str | None = None,
    settings: FitSettings | None = None,
    *,
    domains: Sequence[CorpusDomain] | None = None,
    max_tokens: int = 256,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Starter, StarterFigures]:
    """Fine-tune on every domain of the corpus but the held-out ones.

    Parameters
    ----------
    encoder
        A folder, a Hugging Face id, or None for the packaged default.
    settings
        How to fine-tune; its epochs, rates, seed and threads count.
    domains
        None for the shipped corpus.
    max_tokens
        Comments are read up to this many tokens.
    on_progress
        Told (step, steps).

    Returns
    -------
    Starter, StarterFigures
    """
    plan = settings or FitSettings()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    source = resolve_encoder(encoder)
    backbone = load_backbone(source.folder, pretrained=True)
    tokenizer = load_tokenizer(source.folder, token_limit(backbone, max_tokens))
    prefix = comment_prefix(source)
    corpus = list(read_corpus() if domains is None else domains)
    means = [mean_directions(backbone, tokenizer, _texts(domain), prefix) for domain in corpus]
    centre = torch.cat(means).mean(0)
    parts = [
        _part(d, tokenize(tokenizer, d.comments, prefix), directions(m, centre))
        for d, m in zip(corpus, means, strict=True)
    ]
    before = {name: value.detach().clone() for name, value in backbone.named_parameters()}
    network = ReasonCodeNetwork(backbone, backbone.config.hidden_size, 1)
    words = TrimmedVocabulary(backbone, [t for p in parts for t in p.tokens], always=(0,))
    parts = [_Part(words.comments(p.tokens), p.lengths, p.present, p.known, p.definition) for p in parts]
    held = [p for p, d in zip(parts, corpus, strict=True) if d.name in HELD_OUT]
    fitted = [p for p, d in zip(parts, corpus, strict=True) if d.name not in HELD_OUT]
    precision = "bf16" if bf16_pays(torch.device("cpu")) else "fp32"
    _fit(network, fitted, plan, precision, on_progress)
    figures = _measure(network, held or fitted, precision)
    words.restore()
    return starter_between(before, network, source.sha256, centre, figures.thresholds), figures


def _texts(domain: CorpusDomain) -> list[list[str]]:
    return [code_texts(domain.taxonomy[code]) for code in domain.taxonomy.active]


def _part(domain: CorpusDomain, tokens: list[TokenizedComment], definition: torch.Tensor) -> _Part:
    present, known = LabelSpace(domain.taxonomy.active).encode(domain.targets)
    return _Part(tokens, np.array([len(one.ids) for one in tokens]), present, known, definition)


def _fit(
    network: ReasonCodeNetwork,
    parts: list[_Part],
    plan: FitSettings,
    precision: str,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    order = np.random.default_rng(plan.seed)
    draw_from_bytes(network, np.random.Generator(np.random.SFC64(plan.seed)))

    def batches() -> list[tuple[_Part, NDArray[np.intp]]]:
        every = [(p, b) for p in parts for b in shuffled_batches(p.lengths, plan.batch_size, order)]
        return [every[i] for i in order.permutation(len(every))]

    steps = plan.epochs * len(batches())
    optimizer, schedule = optimizer_for(network, plan, steps, 1.0)
    average = WeightAverage(network, plan.average)
    network.train()
    step = 0
    for _ in range(plan.epochs):
        for part, batch in batches():
            logits = _logits(network, part, batch, precision)
            loss = masked_loss(
                logits, torch.from_numpy(part.present[batch]), torch.from_numpy(part.known[batch])
            )
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
            optimizer.step()
            schedule.step()
            average.update()
            step += 1
            if on_progress:
                on_progress(step, steps)
    average.keep()
    network.eval()


def _logits(network: ReasonCodeNetwork, part: _Part, batch: NDArray[np.intp], precision: str) -> torch.Tensor:
    ids, mask = (torch.from_numpy(x) for x in pad([part.tokens[i] for i in batch], 0, stepped=True))
    with autocast(torch.device("cpu"), precision):
        states = network.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        return network.score(states, mask, part.definition)[0]


def _measure(network: ReasonCodeNetwork, parts: list[_Part], precision: str) -> StarterFigures:
    """Choose a threshold for each polarity on the domains, and tell the F1 that they reach there."""
    found = []
    for part in parts:
        scores = np.zeros(part.present.shape, np.float32)
        with torch.inference_mode():
            for batch in length_batches(part.lengths, tokens=4096):
                scores[batch] = torch.sigmoid(_logits(network, part, batch, precision)).numpy()
        found.append((scores, part.present))
    thresholds = []
    for polarity in range(len(POLARITIES)):
        f1 = [
            _f1([(s >= cut) & (s == s.max(-1, keepdims=True)) for s, _ in found], found, polarity)
            for cut in _GRID
        ]
        thresholds.append(float(_GRID[int(np.argmax(f1))]))
    chosen = [decide(s, np.broadcast_to(np.array(thresholds), s.shape[1:])) for s, _ in found]
    hits = sum(float((c * y).sum()) for c, (_, y) in zip(chosen, found, strict=True))
    both = sum(float(c.sum() + y.sum()) for c, (_, y) in zip(chosen, found, strict=True))
    each = [
        2 * float((c[:, k, p] * y[:, k, p]).sum()) / float(c[:, k, p].sum() + y[:, k, p].sum())
        for c, (_, y) in zip(chosen, found, strict=True)
        for k in range(y.shape[1])
        for p in range(y.shape[2])
        if y[:, k, p].any()
    ]
    codes = sum(y.shape[1] for _, y in found)
    return StarterFigures(2 * hits / both, float(np.mean(each)), tuple(thresholds), len(found), codes)


def _f1(
    chosen: list[NDArray[np.bool_]],
    found: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    polarity: int,
) -> float:
    hits = sum(float((c * y)[..., polarity].sum()) for c, (_, y) in zip(chosen, found, strict=True))
    both = sum(float((c + y)[..., polarity].sum()) for c, (_, y) in zip(chosen, found, strict=True))
    return 2 * hits / max(1.0, both)
