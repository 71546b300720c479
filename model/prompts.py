"""What an encoder was taught to read before a text, such as E5's ``query: ``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from model.encoder import EncoderSource

CONFIG = "config_sentence_transformers.json"
_E5 = re.compile(r"(?:^|[/_-])e5(?:[-_]|$)", re.IGNORECASE)
_E5_PROMPT = "query: "  # for both sides of a symmetric task: Wang et al. 2022, section 3.2


def comment_prefix(source: EncoderSource) -> str:
    """Give the text that belongs before every comment that an encoder reads; most encoders want none.

    It is the encoder's own default prompt where it names one, else its prompt for classification,
    else ``query: `` for the E5 family, known by its name or its prompts. A prompt for search queries
    alone, as BGE has one, does not count: a comment is no query.

    References
    ----------
    Wang et al. 2022, "Text embeddings by weakly-supervised contrastive pre-training".
    """
    prompts, default = _read(source.folder / CONFIG)
    if default in prompts:
        return prompts[default]
    for name, prompt in prompts.items():
        if name.casefold() == "classification":
            return prompt
    names = (source.name, source.folder.name)
    if any(_E5.search(name) and "instruct" not in name.casefold() for name in names):
        return prompts.get("query", _E5_PROMPT)
    return _E5_PROMPT if prompts.get("query", "").strip().casefold() == "query:" else ""


def _read(path: Path) -> tuple[dict[str, str], str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        prompts = {
            str(name): str(prompt) for name, prompt in (content.get("prompts") or {}).items() if prompt
        }
        return prompts, str(content.get("default_prompt_name") or "")
    except (OSError, ValueError, AttributeError):
        return {}, ""
