"""The reason-code classifier: comments in, a probability for every (code, polarity) out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from data.annotations import Target
from data.errors import ModelError
from data.text import first_rows
from model.checkpoint import TEACHER, CheckpointPlace
from model.code_decisions import CodeDecisions
from model.code_parameters import CodeParameters
from model.decision import decide
from model.definition_reader import DefinitionReader
from model.definitions import mean_directions, sample_centre
from model.description import ModelDescription, read_description
from model.encoder import EncoderSource, load_backbone, load_tokenizer, resolve_encoder, token_limit
from model.fit_settings import FitSettings
from model.fitting import FitResult, Fold, Progress, fit_network
from model.labels import LabelSpace
from model.network import ReasonCodeNetwork
from model.novelty import Novelty, fit_novelty, read_novelty
from model.operating_points import BALANCED, PointName, choose_operating_points
from model.prediction import predict_network
from model.prompts import comment_prefix
from model.starter import Starter, directions
from model.state_cache import CachedStates, StateCache, Told, encoder_digest
from model.teaching import Teacher
from model.tokens import TokenizedComment, tokenize

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
ENCODER_FOLDER = "encoder"


class ReasonCodeClassifier:
    """Multi-label classifier of reason codes with a polarity for each, in scikit-learn's manners.

    Parameters
    ----------
    codes
        Ids of the reason codes, in the order of the outputs.
    encoder
        A folder, a Hugging Face id, or None for the packaged all-MiniLM-L6-v2.
    settings
        How to fine-tune.
    max_tokens
        Comments are read up to this many tokens.
    definitions
        For each code, texts that say what it is (see `model.definitions.code_texts`); the fit starts
        from them. None: from the ids alone.
    starter
        What the fit starts from besides; None for the encoder's own weights.

    Attributes
    ----------
    description_
        Labels, thresholds and origin; set by `fit` and `load`.
    fit_result_
        History of the last `fit`.
    novelty_
        What the comments of the last `fit` were like; None where there were few, or nobody wrote it down.
    """

    def __init__(
        self,
        codes: Sequence[str],
        encoder: str | None = None,
        settings: FitSettings | None = None,
        max_tokens: int = 256,
        definitions: Sequence[Sequence[str]] | None = None,
        starter: Starter | None = None,
    ) -> None:
        self.labels = LabelSpace(tuple(codes))
        self.definitions = definitions or [[code.replace(".", " ").replace("-", " ")] for code in codes]
        self.starter = starter
        self.encoder = encoder
        self.settings = settings or FitSettings()
        self.max_tokens = max_tokens
        self.fit_result_: FitResult | None = None
        self.description_: ModelDescription | None = None
        self.novelty_: Novelty | None = None
        self.network_: ReasonCodeNetwork | None = None
        self._tokenizer: Any = None
        self._encoder_config: dict[str, Any] = {}

    def fit(
        self,
        comments: Sequence[str],
        targets: Sequence[Target],
        validation: tuple[Sequence[str], Sequence[Target]] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        checkpoint: CheckpointPlace | None = None,
        teacher: Teacher | None = None,
    ) -> ReasonCodeClassifier:
        """Fine-tune the encoder and the head.

        Parameters
        ----------
        comments, targets
            One target for each comment; a code that is unknown there is masked.
        validation
            Other comments and targets, on which the probabilities are calibrated and the operating points
            chosen, and on which a fit with patience stops. Without them every threshold is 0.5.
        on_progress
            Called after every step.
        checkpoint
            Where the fit keeps its state, so that it goes on after a kill.
        teacher
            What to learn from besides the targets; calibration hears the targets alone.

        Raises
        ------
        ModelError
            If there are no comments, or the encoder is not to be had.
        """
        if not comments:
            raise ModelError("there are no annotated comments to train on")
        self.start()
        network = self._fitted_network()
        pad_id = self._require_description().pad_id
        train = self._lessons(comments, targets, teacher, checkpoint)
        held = self._fold(*validation) if validation is not None and len(validation[0]) else None
        self.fit_result_ = fit_network(network, train, held, pad_id, self.settings, on_progress, checkpoint)
        # People wrote these; comments made of others' sentences repeat them, and all else would seem odd.
        own = train.comments[: len(comments)]
        read = own if held is None else [*own, *held.comments]
        self.novelty_ = fit_novelty(read, 1 + max(self._tokenizer.get_vocab().values()))
        if held is not None and validation is not None:
            self._calibrate(validation[0], held)
        return self

    def fit_again(
        self,
        comments: Sequence[str],
        targets: Sequence[Target],
        on_progress: Callable[[Progress], None] | None = None,
        checkpoint: CheckpointPlace | None = None,
        teacher: Teacher | None = None,
    ) -> ReasonCodeClassifier:
        """Fit from the start on more comments, keeping calibration and operating points of the `fit` before.

        For small sets, where the comments that a validation part holds back are missed most.

        Parameters
        ----------
        comments, targets, on_progress, checkpoint, teacher
            As `fit` takes them; usually the comments of both its parts.
        """
        before, result = self._require_description(), self.fit_result_
        self.start()
        train = self._lessons(comments, targets, teacher, checkpoint)
        fit_network(
            self._fitted_network(), train, None, before.pad_id, self.settings, on_progress, checkpoint
        )
        self.description_, self.fit_result_ = before, result
        return self

    def tokenize(self, comments: Sequence[str]) -> list[TokenizedComment]:
        """Tokenize comments as the network reads them."""
        self._fitted_network()
        return tokenize(self._tokenizer, comments, self._require_description().prefix)

    def predict_proba(self, comments: Sequence[str]) -> NDArray[np.float32]:
        """Give the calibrated probability of every pair, shape (n_comments, n_codes, n_polarities)."""
        return self.predict_with_attention(comments)[0]

    def predict_with_attention(
        self, comments: Sequence[str]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Give the calibrated probabilities and, for each comment, how each code spread its attention.

        Returns
        -------
        probabilities : ndarray of shape (n_comments, n_codes, n_polarities)
        attention : list of ndarray of shape (n_codes, tokens)
        """
        network, description = self._fitted_network(), self._require_description()
        probabilities, attention = predict_network(network, self.tokenize(comments), description.pad_id)
        return description.calibrate(probabilities), attention

    def predict(self, comments: Sequence[str], point: PointName = BALANCED) -> NDArray[np.bool_]:
        """Give the pairs that apply at an operating point, shape (n_comments, n_codes, n_polarities)."""
        return decide(self.predict_proba(comments), self._require_description().threshold_array(point))

    def save(self, folder: str | Path) -> None:
        """Write the classifier: safetensors, JSON, nothing pickled."""
        folder = Path(folder)
        (folder / ENCODER_FOLDER).mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous() for name, tensor in self._fitted_network().state_dict().items()}
        save_file(state, str(folder / WEIGHTS), metadata={"format": "pt"})
        self._tokenizer.save(str(folder / TOKENIZER))
        config = json.dumps(self._encoder_config, indent=2, sort_keys=True)
        (folder / ENCODER_FOLDER / "config.json").write_text(config + "\n", encoding="utf-8")
        self._require_description().write(folder)
        if self.novelty_ is not None:
            self.novelty_.write(folder)

    @classmethod
    def load(cls, folder: str | Path) -> ReasonCodeClassifier:
        """Read a classifier back, bit for bit.

        Raises
        ------
        ModelError
            If the folder holds no whole classifier.
        """
        folder = Path(folder)
        description = read_description(folder)
        classifier = cls(description.codes, description.encoder, max_tokens=description.max_tokens)
        classifier.description_ = description
        classifier.novelty_ = read_novelty(folder)
        try:
            config = (folder / ENCODER_FOLDER / "config.json").read_text(encoding="utf-8")
            classifier._encoder_config = json.loads(config)
            classifier._tokenizer = load_tokenizer(folder, description.max_tokens)
            backbone = load_backbone(folder / ENCODER_FOLDER, pretrained=False)
            network = ReasonCodeNetwork(backbone, description.width, len(description.codes))
            network.blocks = description.blocks or network.blocks
            network.load_state_dict(load_file(str(folder / WEIGHTS)))
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError("the folder does not hold a whole classifier", file=folder) from error
        classifier.network_ = network.eval()
        return classifier

    def start(self) -> ReasonCodeClassifier:
        """Take the encoder, the starter and the definitions: it can predict now, without an annotation.

        Raises
        ------
        ModelError
            If the encoder is not to be had, or the starter is another encoder's.
        """
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        torch.manual_seed(self.settings.seed)
        source = resolve_encoder(self.encoder)
        backbone = load_backbone(source.folder, pretrained=True)
        config = backbone.config
        self._encoder_config = json.loads(config.to_json_string(use_diff=False))
        limit = token_limit(backbone, self.max_tokens)
        self._tokenizer = load_tokenizer(source.folder, limit)
        self.network_ = ReasonCodeNetwork(backbone, config.hidden_size, len(self.labels.codes))
        self.description_ = ModelDescription(
            codes=self.labels.codes,
            encoder=source.name,
            encoder_sha256=source.sha256,
            width=config.hidden_size,
            max_tokens=limit,
            pad_id=int(getattr(config, "pad_token_id", None) or 0),
            prefix=comment_prefix(source),
        )
        self._read_definitions(source)
        if self.starter is not None:
            thresholds = (self.starter.thresholds,) * len(self.labels.codes)
            self.description_ = dataclasses.replace(self.description_, thresholds=thresholds)
        self.network_.eval()
        return self

    def read_definitions(self, definitions: Sequence[Sequence[str]]) -> torch.Tensor:
        """Give the directions of further codes, shape (n, width), read as those of this classifier's were.

        Raises
        ------
        ModelError
            If the encoder, as its authors published it, is not to be had any more.
        """
        network, description = self._fitted_network(), self._require_description()
        source = resolve_encoder(description.encoder)
        if source.sha256 != description.encoder_sha256:
            raise ModelError("the encoder is not the one that the model was made from", file=source.folder)
        backbone = load_backbone(source.folder, pretrained=True)
        means = mean_directions(backbone, self._tokenizer, definitions, description.prefix)
        return directions(means, network.centre)

    def with_codes(
        self,
        decisions: CodeDecisions,
        parameters: CodeParameters,
        reader: DefinitionReader | None = None,
        blocks: tuple[int, ...] = (),
    ) -> ReasonCodeClassifier:
        """Give a classifier of other codes over the same encoder, and the same reader unless one is given.

        Parameters
        ----------
        decisions, parameters
            The codes and what is their own, in that order.
        reader
            Of the definitions.
        blocks
            Sizes of the groups in which the codes are scored; one of all where it is empty.
        """
        other = ReasonCodeClassifier(decisions.codes, self.encoder, self.settings, self.max_tokens)
        other.network_ = parameters.network(self._fitted_network(), blocks)
        if reader is not None:
            other.network_.reader = reader
        other.description_ = decisions.put(self._require_description(), blocks)
        other._tokenizer, other._encoder_config = self._tokenizer, self._encoder_config
        other.novelty_ = self.novelty_  # of the encoder's training, which stays
        return other

    def states(
        self, comments: Sequence[str], cache: StateCache, on_progress: Told | None = None
    ) -> CachedStates:
        """Give the token states of comments under this classifier's encoder."""
        network, description = self._fitted_network(), self._require_description()
        digest = encoder_digest(network.backbone, self._tokenizer, description.prefix)
        tokens = self.tokenize(comments)
        return cache.states(network.backbone, digest, comments, tokens, description.pad_id, on_progress)

    def _read_definitions(self, source: EncoderSource) -> None:
        """Set the definitions' directions, read by the encoder as its authors published it."""
        network = self._fitted_network()
        if self.starter is not None and self.starter.encoder_sha256 != source.sha256:
            raise ModelError("the starter was made for another encoder", file=source.folder)
        reading = (network.backbone, self._tokenizer)
        prefix = self._require_description().prefix
        means = mean_directions(*reading, self.definitions, prefix)
        centre = self.starter.centre if self.starter is not None else sample_centre(*reading, prefix)
        network.centre.copy_(centre)
        network.definition.copy_(directions(means, centre))
        if self.starter is not None:
            self.starter.apply(network)

    def _calibrate(self, comments: Sequence[str], held: Fold) -> None:
        """Calibrate the network as it is, and choose its operating points."""
        # A text that stands a hundred times says as much of the probabilities as one that stands once.
        rows = first_rows(comments)
        network, description = self._fitted_network(), self._require_description()
        probabilities, _ = predict_network(network, [held.comments[row] for row in rows], description.pad_id)
        parts = held.present[rows], held.known[rows]
        untold = None if self.starter is None else self.starter.thresholds
        decisions = choose_operating_points(probabilities, *parts, self.labels.codes, untold)
        self.description_ = description.with_decisions(*decisions)

    def _fold(self, comments: Sequence[str], targets: Sequence[Target]) -> Fold:
        return Fold(self.tokenize(comments), *self.labels.encode(targets))

    def _lessons(
        self,
        comments: Sequence[str],
        targets: Sequence[Target],
        teacher: Teacher | None,
        checkpoint: CheckpointPlace | None,
    ) -> Fold:
        """Give what to learn from: targets, what a teacher says, and codes that nobody annotated."""
        fold = self._fold(comments, targets)
        if teacher is not None:
            place = None if checkpoint is None else checkpoint.of_stage(TEACHER)
            codes, seed = self.labels.codes, self.settings.seed
            fold = teacher.teach(fold, comments, codes, self.tokenize, seed, place)
        return self._with_definitions_kept(fold)

    def _with_definitions_kept(self, fold: Fold) -> Fold:
        """Let codes that nobody annotated keep what the starter reads from their definitions.

        Fitted on the other codes alone the shared reader forgets them, so the starter's own
        probabilities stand in for annotations (learning without forgetting, Li and Hoiem 2016).
        """
        bare = ~fold.known.any(axis=0)
        if self.starter is None or not bare.any():
            return fold
        read, _ = predict_network(self._fitted_network(), fold.comments, self._require_description().pad_id)
        present, known = fold.present.copy(), fold.known.copy()
        present[:, bare], known[:, bare] = read[:, bare], 1.0
        return dataclasses.replace(fold, present=present, known=known)

    def _fitted_network(self) -> ReasonCodeNetwork:
        if self.network_ is None:
            raise ModelError("the classifier is not fitted yet")
        return self.network_

    def _require_description(self) -> ModelDescription:
        if self.description_ is None:
            raise ModelError("the classifier is not fitted yet")
        return self.description_
