"""Tiny encoders of several families, made on the spot: a folder each, as their authors publish them."""

import json

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
XLM = ("<s>", "<pad>", "</s>", "<unk>")


def _framed(tokenizer, first, last):
    tokenizer.add_special_tokens(list(BERT if first in BERT else XLM))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, tokenizer.token_to_id(first)), (last, tokenizer.token_to_id(last))],
    )
    return tokenizer


def wordpiece(words):
    tokens = dict.fromkeys([*BERT, ".", ",", ":", "query", *words])
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _framed(tokenizer, "[CLS]", "[SEP]")


def bytes_pairs(words):
    """Byte-level pairs, as ModernBERT has them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(BERT),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" " + word for word in words] * 4, trainer)
    return _framed(tokenizer, "[CLS]", "[SEP]")


def pieces(words):
    """Sentence pieces, as the XLM-R family has them: a word carries the blank before it."""
    letters = sorted({letter for word in words for letter in word} | set("query:.,ü▁"))
    vocabulary = [(token, 0.0) for token in XLM]
    vocabulary += [(f"▁{word}", -2.0) for word in dict.fromkeys(["query", *words])]
    vocabulary += [(letter, -8.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _framed(tokenizer, "<s>", "</s>")


def _save(folder, network, tokenizer, prompts=None):
    folder.mkdir(parents=True)
    network.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if prompts is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return folder


def _bert(tokenizer):
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, **WIDTH)
    return BertModel(config, add_pooling_layer=False)


def bge(root, words):
    prompts = {"query": "Represent this sentence for searching relevant passages: "}
    return _save(root / "bge-tiny-en-v1.5", _bert(wordpiece(words)), wordpiece(words), prompts)


def e5(root, words):
    return _save(root / "e5-tiny-v2", _bert(wordpiece(words)), wordpiece(words))


def multilingual_minilm(root, words):
    """BERT's network under XLM-R's tokenizer."""
    tokenizer = pieces(words)
    return _save(root / "multilingual-MiniLM-L2", _bert(tokenizer), tokenizer)


def multilingual_e5(root, words):
    """XLM-R's network and tokenizer, which count positions from the padding token."""
    tokenizer = pieces(words)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=66, pad_token_id=1, **WIDTH
    )
    network = XLMRobertaModel(config, add_pooling_layer=False)
    return _save(root / "renamed", network, tokenizer, {"query": "query: ", "passage": "passage: "})


def modernbert(root, words):
    tokenizer = bytes_pairs(words)
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=64,
        local_attention=8,
        global_attn_every_n_layers=2,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
        **{f"{name}_token_id": tokenizer.token_to_id("[CLS]") for name in ("cls", "bos")},
        **{f"{name}_token_id": tokenizer.token_to_id("[SEP]") for name in ("sep", "eos")},
        **WIDTH,
    )
    return _save(root / "modernbert-tiny", ModernBertModel(config), tokenizer)


FAMILIES = (bge, e5, multilingual_minilm, multilingual_e5, modernbert)


def make(family, root, words):
    torch.manual_seed(0)
    return family(root, words)
