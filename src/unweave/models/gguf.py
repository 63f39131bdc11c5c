"""GGUF files as a folder that plain transformers loads: weights, configuration and tokenizer.

Only Llama-architecture files with a byte-level BPE vocabulary are read, as data: nothing in them runs.
Layout of the file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, TokenType, dequantize
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from unweave.errors import UnweaveError

BLOCK_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

# How llama.cpp cuts text before merging, by `tokenizer.ggml.pre`: SmolLM takes every digit out first, so that a space
# never joins the number after it; the rest is GPT-2's rule.
_GPT2_SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
PRE_TOKENIZERS = {
    "gpt-2": _GPT2_SPLIT,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2_SPLIT]),
}


class Metadata(dict[str, Any]):
    """Key-value section of a GGUF file; a missing key is the file's mistake, told in one line."""

    def __init__(self, path: Path, reader: GGUFReader) -> None:
        super().__init__({key: field.contents() for key, field in reader.fields.items()})
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise UnweaveError(f"{self.path}: has no metadata key {key}: use a complete GGUF file")

    def require(self, key: str, *supported: Any) -> Any:
        """Value of `key`, which must be one of `supported`."""
        if self[key] not in supported:
            known = " or ".join(map(str, supported))
            raise UnweaveError(f"{self.path}: {key} is {self[key]}; only {known} can be converted")
        return self[key]


def llama_config(metadata: Metadata, tied: bool) -> dict[str, Any]:
    """Content of config.json; `tied` says that the unembedding is the embedding.

    Raises
    ------
    UnweaveError
        for another architecture, or for rotary embeddings that are scaled or partial.
    """
    metadata.require("general.architecture", "llama")
    if "llama.rope.scaling.type" in metadata:
        metadata.require("llama.rope.scaling.type", "none")
    width, heads = metadata["llama.embedding_length"], metadata["llama.attention.head_count"]
    head_width = metadata.get("llama.attention.key_length", width // heads)
    if "llama.rope.dimension_count" in metadata:
        metadata.require("llama.rope.dimension_count", head_width)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
        "hidden_size": width,
        "intermediate_size": metadata["llama.feed_forward_length"],
        "num_hidden_layers": metadata["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.get("llama.attention.head_count_kv", heads),
        "head_dim": head_width,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": metadata["llama.context_length"],
        "rms_norm_eps": metadata["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": metadata.get("llama.rope.freq_base", 10000.0)},
        "tie_word_embeddings": tied,
        **{f"{role}_token_id": token for role, token in _special_tokens(metadata).items() if role != "unk"},
    }


def rotary_halves(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of a query or key projection from llama.cpp's order (pairs interleaved) to transformers' (two halves)."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def state_dict(reader: GGUFReader, config: dict[str, Any], path: Path) -> dict[str, NDArray[np.float32]]:
    """Every tensor as float32, under the names of transformers' LlamaForCausalLM.

    Raises
    ------
    UnweaveError
        if a tensor is missing, has no place in the model or is quantized in an unknown way.
    """
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if not config["tie_word_embeddings"]:
        names["output.weight"] = "lm_head.weight"
    for block in range(config["num_hidden_layers"]):
        names |= {
            f"blk.{block}.{there}.weight": f"model.layers.{block}.{here}.weight"
            for there, here in BLOCK_TENSORS.items()
        }
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if odd := sorted(tensors.keys() ^ names.keys()):
        problem = "has no place in a plain Llama model" if odd[0] in tensors else "is missing"
        raise UnweaveError(f"{path}: tensor {odd[0]} {problem}: use another GGUF file of the model")
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for name, tensor in tensors.items():
        try:
            weight = dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError:
            raise UnweaveError(
                f"{path}: tensor {name} is quantized as {tensor.tensor_type.name}, which the gguf package cannot undo: "
                "use another GGUF file of the model"
            ) from None
        part = name.split(".")[-2]
        if part in heads:
            weight = rotary_halves(weight, heads[part])
        weights[names[name]] = np.ascontiguousarray(weight, dtype=np.float32)
    return weights


def _special_tokens(metadata: Metadata) -> dict[str, int]:
    keys = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    return {
        role: metadata[f"tokenizer.ggml.{key}_token_id"]
        for role, key in keys.items()
        if f"tokenizer.ggml.{key}_token_id" in metadata
    }


def byte_level_tokenizer(metadata: Metadata) -> Tokenizer:
    """Build the byte-level BPE tokenizer that the metadata describes.

    Raises
    ------
    UnweaveError
        for another kind of vocabulary, or one whose way of cutting text is not known here.
    """
    metadata.require("tokenizer.ggml.model", "gpt2")
    split = PRE_TOKENIZERS[metadata.require("tokenizer.ggml.pre", *PRE_TOKENIZERS)]
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind in zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True):
        if kind == TokenType.CONTROL:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
        elif kind == TokenType.USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, normalized=False)])
    if metadata.get("tokenizer.ggml.add_bos_token"):
        bos = metadata["tokenizer.ggml.bos_token_id"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A", pair=f"{tokens[bos]} $A {tokens[bos]} $B", special_tokens=[(tokens[bos], bos)]
        )
    return tokenizer


def tokenizer_config(metadata: Metadata) -> dict[str, Any]:
    """Content of tokenizer_config.json: the special tokens, the longest text and the chat template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": metadata["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        **{f"{role}_token": tokens[token] for role, token in _special_tokens(metadata).items()},
    }
    if "tokenizer.chat_template" in metadata:
        config["chat_template"] = metadata["tokenizer.chat_template"]
    return config


def convert_gguf(path: Path, folder: Path) -> None:
    """Write `folder`/config.json, model.safetensors (float32), tokenizer.json and tokenizer_config.json from `path`.

    Raises
    ------
    UnweaveError
        if the file is missing, damaged, cut short or not GGUF, or holds a model that is not supported.
    """
    if not path.is_file():
        raise UnweaveError(f"{path}: no such file")
    try:
        reader = GGUFReader(path)
        metadata = Metadata(path, reader)
        config = llama_config(metadata, tied=all(tensor.name != "output.weight" for tensor in reader.tensors))
        tokenizer = byte_level_tokenizer(metadata)
        configs = {"config.json": config, "tokenizer_config.json": tokenizer_config(metadata)}
        weights = state_dict(reader, config, path)
    except UnweaveError:
        raise
    except Exception as error:
        # Damage shows in any step and in any class; the tokenizers package even raises a bare Exception.
        reason = str(error).strip().partition("\n")[0]
        raise UnweaveError(f"{path}: not a valid GGUF model ({reason}): delete it and get it again") from error
    for name, content in configs.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    # safetensors makes its files unreadable to everyone else
    shutil.copymode(folder / "config.json", folder / "model.safetensors")
