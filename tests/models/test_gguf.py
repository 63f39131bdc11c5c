import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from unweave.errors import UnweaveError
from unweave.models.gguf import Metadata, byte_level_tokenizer, convert_gguf, rotary_halves

HARD_TEXTS = [
    "naïve café, Ångström",
    "e\u0301 is not é",
    "日本語のテキスト、中文",
    "Привет, мир",
    "👩‍👩‍👧‍👦 🎉 🇫🇷",
    "\ttabs\t\tand  spaces   ",
    "no\u00a0break, zero\u200bwidth",
    "def f(x):\n    return x**2  # code\n\n\n",
    "\r\nwindows\r\n",
    " leading and trailing ",
    "½ ² ٣٤ Ⅷ",
    "in 2024: $3.50 + 12,345",
    "",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "converted"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def tokenizer(tiny_metadata: Metadata) -> Tokenizer:
    return byte_level_tokenizer(tiny_metadata)


@pytest.fixture(scope="module")
def tiny_metadata(tmp_path_factory: pytest.TempPathFactory, tiny_writer: type) -> Metadata:
    path = tiny_writer(tied=True).write(tmp_path_factory.mktemp("gguf") / "model.gguf")
    return Metadata(path, gguf.GGUFReader(path))


@pytest.mark.parametrize("tied", [True, False])
def test_the_converted_model_computes_what_the_original_computes(tiny_writer, folder, tmp_path, tied):
    tiny = tiny_writer(tied=tied)
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    converted, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokens = torch.arange(40).reshape(2, 20)
    with torch.no_grad():
        torch.testing.assert_close(converted(tokens).logits, tiny.model(tokens).logits, rtol=1e-4, atol=1e-4)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert converted.dtype == torch.float32
    assert converted.config.tie_word_embeddings is tied


def test_the_configuration_is_that_of_the_original(tiny, folder, tmp_path):
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    config, original = AutoModelForCausalLM.from_pretrained(folder).config, tiny.model.config
    for key in ("num_key_value_heads", "head_dim", "intermediate_size", "max_position_embeddings", "rope_parameters"):
        assert getattr(config, key) == getattr(original, key)
    assert config.rms_norm_eps == pytest.approx(original.rms_norm_eps)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)


@pytest.mark.parametrize(("kind", "levels"), [("Q8_0", 127), ("Q4_1", 7.5)])
def test_quantized_weights_are_restored_to_within_half_a_level(tiny, folder, tmp_path, kind, levels):
    tiny.quantization = gguf.GGMLQuantizationType[kind]
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    restored = load_file(folder / "model.safetensors")
    for name, original in tiny.model.state_dict().items():
        if name in restored:
            step = np.abs(original.numpy()).max() / levels
            assert restored[name].dtype == np.float32
            np.testing.assert_allclose(restored[name], original.numpy(), atol=0.52 * step, rtol=1e-3)


def test_conversion_is_byte_stable(tiny, tmp_path):
    source = tiny.write(tmp_path / "model.gguf")
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        convert_gguf(source, tmp_path / name)
        contents.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert contents[0].keys() == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@given(heads=st.integers(1, 5), half=st.integers(1, 4), columns=st.integers(1, 3))
def test_rotary_halves_undoes_the_interleaving_of_pairs(heads, half, columns):
    weight = np.arange(heads * 2 * half * columns).reshape(heads * 2 * half, columns)
    pairs = np.stack(np.split(weight.reshape(heads, 2 * half, columns), 2, axis=1), axis=2).reshape(weight.shape)
    np.testing.assert_array_equal(rotary_halves(pairs, heads), weight)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_hard_strings_survive_the_tokenizer_that_transformers_loads(tiny, folder, tmp_path, text):
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@given(text=st.text())
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("in 1212", ["i", "n", "Ġ", "1", "2", "1", "2"]),
        ("  12\n\n1", ["ĠĠ", "1", "2", "ĊĊ", "1"]),
        ("hello  hello", ["hello", "Ġ", "Ġ", "hello"]),
        ("٣", ["Ù", "£"]),
    ],
)
def test_digits_stand_alone_as_in_llama_cpp(tokenizer, text, pieces):
    assert tokenizer.encode(text).tokens == pieces


def test_special_tokens_are_never_cut(tokenizer):
    assert tokenizer.encode("<|im_start|>hello<tool><|im_end|>").tokens == [
        "<|im_start|>",
        "hello",
        "<tool>",
        "<|im_end|>",
    ]


def test_transformers_knows_the_special_tokens_and_the_chat_template(tiny, folder, tmp_path):
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.special_tokens_map == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|im_end|>",
    }
    assert tokenizer.decode(tokenizer("<|im_start|>hello").input_ids, skip_special_tokens=True) == "hello"
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert chat == "<|im_start|>hello<|im_end|>"
    assert len(tokenizer) == len(tiny.metadata["tokenizer.ggml.tokens"])


@pytest.mark.parametrize("adds_bos", [True, False])
def test_a_beginning_token_is_added_only_if_the_file_says_so(tiny, folder, tmp_path, adds_bos):
    tiny.metadata["tokenizer.ggml.add_bos_token"] = adds_bos
    convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)
    ids = AutoTokenizer.from_pretrained(folder)("hello").input_ids
    assert (ids[0] == 1) is adds_bos


@settings(max_examples=50)
@given(text=st.text())
def test_a_gpt2_vocabulary_is_read_as_transformers_reads_it(gpt2_pair, text):
    ours, theirs = gpt2_pair
    assert ours(text).input_ids == theirs(text).input_ids


@pytest.fixture(scope="module")
def gpt2_pair(tiny_writer, tmp_path_factory):
    tiny, source, folder = tiny_writer(tied=True), tmp_path_factory.mktemp("gpt2"), tmp_path_factory.mktemp("folder")
    tiny.metadata["tokenizer.ggml.pre"] = "gpt-2"
    convert_gguf(tiny.write(source / "model.gguf"), folder)
    return AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(source, gguf_file="model.gguf")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("general.architecture", "mamba"),
        ("llama.rope.scaling.type", "yarn"),
        ("llama.rope.dimension_count", 8),
        ("tokenizer.ggml.model", "llama"),
        ("tokenizer.ggml.pre", "tekken"),
    ],
)
def test_what_cannot_be_converted_is_named(tiny, folder, tmp_path, key, value):
    tiny.metadata[key] = value
    with pytest.raises(UnweaveError, match=rf"model\.gguf: {key} is {value}; only .* can be converted"):
        convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)


def test_a_missing_metadata_key_is_named(tiny, folder, tmp_path):
    del tiny.metadata["llama.block_count"]
    with pytest.raises(UnweaveError, match=r"no metadata key llama\.block_count"):
        convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)


def test_a_missing_tensor_is_named(tiny, folder, tmp_path):
    del tiny.tensors["blk.1.ffn_up.weight"]
    with pytest.raises(UnweaveError, match=r"tensor blk\.1\.ffn_up\.weight is missing"):
        convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)


def test_a_tensor_without_a_place_is_named(tiny, folder, tmp_path):
    tiny.tensors["blk.0.attn_q.bias"] = np.zeros(64, dtype=np.float32)
    with pytest.raises(UnweaveError, match=r"tensor blk\.0\.attn_q\.bias has no place"):
        convert_gguf(tiny.write(tmp_path / "model.gguf"), folder)


@pytest.mark.parametrize("kept", [0, 3, 100, 4000, -1])
def test_a_file_cut_short_is_refused_in_one_line(tiny, folder, tmp_path, kept):
    path = tiny.write(tmp_path / "model.gguf")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UnweaveError, match=r"model\.gguf: not a valid GGUF model") as error:
        convert_gguf(path, folder)
    assert "\n" not in str(error.value)


def test_a_file_of_another_kind_is_refused(folder, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_text(json.dumps({"not": "a model"}) * 10)
    with pytest.raises(UnweaveError, match="magic invalid"):
        convert_gguf(path, folder)


def test_a_missing_file_is_named(folder, tmp_path):
    with pytest.raises(UnweaveError, match=r"absent\.gguf: no such file"):
        convert_gguf(tmp_path / "absent.gguf", folder)
