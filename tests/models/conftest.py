from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ Ġ", "Ċ Ċ", "1 2"]
TOKENS = [*SPECIAL, "<tool>", *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
GGUF_NAMES = {
    "model.layers": "blk",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama.cpp keeps them: in each head, row i of the first half is followed by row i of the second."""
    first, second = np.split(weight.reshape(heads, -1, weight.shape[1]), 2, axis=1)
    return np.stack([first, second], axis=2).reshape(weight.shape)


class TinyGGUF:
    """A tiny random Llama and the parts of its GGUF file, which a test may spoil before it calls `write`."""

    def __init__(self, tied: bool) -> None:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(TOKENS),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 1234.0},
            initializer_range=0.3,
            tie_word_embeddings=tied,
            bos_token_id=1,
            eos_token_id=2,
        )
        self.model = LlamaForCausalLM(config).eval()
        self.metadata: dict[str, Any] = {
            "general.architecture": "llama",
            "llama.block_count": 2,
            "llama.context_length": 512,
            "llama.embedding_length": 64,
            "llama.feed_forward_length": 96,
            "llama.attention.head_count": 4,
            "llama.attention.head_count_kv": 2,
            "llama.rope.freq_base": 1234.0,
            "llama.rope.dimension_count": 16,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.tokens": TOKENS,
            "tokenizer.ggml.token_type": [3, 3, 3, 4] + [1] * (len(TOKENS) - 4),
            "tokenizer.ggml.merges": MERGES,
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.padding_token_id": 2,
            "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}",
        }
        self.quantization = gguf.GGMLQuantizationType.F32
        heads = {"q_proj": 4, "k_proj": 2}
        self.tensors: dict[str, np.ndarray] = {}
        for key, value in self.model.state_dict().items():
            if tied and key == "lm_head.weight":
                continue
            part, name, weight = key.split(".")[-2], key, value.numpy()
            for here, there in GGUF_NAMES.items():
                name = name.replace(here, there)
            self.tensors[name] = interleaved(weight, heads[part]) if part in heads else weight

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.metadata["general.architecture"])
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        for key, value in self.metadata.items():
            if key != "general.architecture":
                add.get(type(value), writer.add_array)(key, value)
        for name, weight in self.tensors.items():
            kind = self.quantization if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
            writer.add_tensor(name, gguf.quantize(weight, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


SIZES = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
GROUPED = {"intermediate_size": 80, "num_key_value_heads": 2, "head_dim": 8}
CONFIGS = {
    "gpt2": {"n_inner": 80},
    "llama": GROUPED,
    "gemma2": {**GROUPED, **SLIDING, "query_pre_attn_scalar": 8},
    "qwen2": {**GROUPED, **SLIDING, "use_sliding_window": True},
    "qwen3": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 4},
    "gpt_neox": {"intermediate_size": 80, "use_parallel_residual": True},
    "gpt_neox, sequential": {"intermediate_size": 80, "use_parallel_residual": False},
}


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny model of each family with random weights, large enough that every part matters."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param.partition(",")[0], **SIZES, **CONFIGS[request.param])
    built = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in built.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return built.eval().requires_grad_(False)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(3, 97, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def tiny_writer() -> type[TinyGGUF]:
    return TinyGGUF


@pytest.fixture
def tiny() -> TinyGGUF:
    return TinyGGUF(tied=True)
