"""The part of an encoder's vocabulary that a training set uses: a step need not carry the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from model.encoder import position_start
from model.tokens import TokenizedComment


class TrimmedVocabulary:
    """Keeps only the rows of the word embeddings that occur, until `restore` puts them back among the others.

    Three quarters of MiniLM's weights to update are word embeddings, and a few thousand comments use
    a quarter of them. Rows that do not occur get no gradient, so leaving them out changes nothing but
    their weight decay.

    Parameters
    ----------
    backbone
        An encoder of transformers; changed in place.
    comments
        Every comment that will be read before `restore`.
    always
        Token ids that are kept in any case, such as the padding token; the padding token first.

    Attributes
    ----------
    pad_id
        The padding token among the rows that are kept.

    Notes
    -----
    An encoder that counts positions from its padding token (RoBERTa's kin) finds padding by its id, so
    there the ids up to it stay where they are.
    """

    def __init__(
        self, backbone: nn.Module, comments: Iterable[TokenizedComment], always: Sequence[int]
    ) -> None:
        self._backbone = backbone
        whole: nn.Embedding = backbone.get_input_embeddings()
        self._whole = whole
        used = {int(i) for comment in comments for i in np.unique(comment.ids)}
        start = position_start(backbone)
        fixed = [] if start is None else [*range(start + 1)]
        first = [*fixed, *(i for i in always if i not in fixed)]
        self._kept = np.array([*first, *sorted(used - set(first))], np.int64)
        self._place = np.zeros(whole.num_embeddings, np.int64)
        self._place[self._kept] = np.arange(self._kept.size)
        self.pad_id = int(self._place[always[0]])  # the padding token among the rows that are kept
        rows = whole.weight.detach()[torch.from_numpy(self._kept)].clone()
        backbone.set_input_embeddings(nn.Embedding.from_pretrained(rows, freeze=False))

    def comments(self, comments: Sequence[TokenizedComment]) -> list[TokenizedComment]:
        """Give comments with their ids in terms of the rows that are kept."""
        return [TokenizedComment(self._place[comment.ids], comment.offsets) for comment in comments]

    def restore(self) -> None:
        """Put the trained rows back into the whole table."""
        trained: torch.Tensor = self._backbone.get_input_embeddings().weight.detach()
        with torch.no_grad():
            self._whole.weight[torch.from_numpy(self._kept)] = trained.to(self._whole.weight.device)
        self._backbone.set_input_embeddings(self._whole)
