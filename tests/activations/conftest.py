"""A tiny model folder and a tiny data set folder, as the model and dataset stages leave them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, LETTERS = "<bos>", sorted(pre_tokenizers.ByteLevel.alphabet())
LAYERS, D_MODEL, D_MLP, CONTEXT = 4, 16, 40, 64


def save_model(folder: Path, *, bos: bool = False, seed: int = 0) -> Path:
    """A random Llama whose tokens are single bytes; BOS is token 0."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=1 + len(LETTERS),
        hidden_size=D_MODEL,
        intermediate_size=D_MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {token: index for index, token in enumerate([BOS, *LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS).save_pretrained(folder)
    (folder / "manifest.json").write_text(json.dumps({"name": "tiny", "revision": f"seed-{seed}"}))
    return folder


def save_dataset(
    folder: Path, texts: Sequence[str], labels: Sequence[int] | None = None, splits: Sequence[str] | None = None
) -> Path:
    content = {
        "text": list(texts),
        "label": list(labels) if labels is not None else [-1] * len(texts),
        "split": list(splits) if splits is not None else ["train"] * len(texts),
        "source_id": [f"document-{index}" for index in range(len(texts))],
    }
    datasets.Dataset.from_dict(content).save_to_disk(str(folder))
    return folder


def letters(lengths: Sequence[int], seed: int = 0) -> list[str]:
    """Texts of the given numbers of letters, so of tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [
        "".join(chr(97 + letter) for letter in torch.randint(26, (length,), generator=generator).tolist())
        for length in lengths
    ]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Path]:
    return save_model


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Path]:
    return save_dataset


@pytest.fixture(scope="session")
def make_texts() -> Callable[..., list[str]]:
    return letters


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents of 1 to 40 letters, half of them in the test split."""
    texts = letters([1 + (7 * index) % 40 for index in range(40)])
    splits = ["train", "test"] * 20
    return save_dataset(tmp_path_factory.mktemp("data"), texts, [index % 3 for index in range(40)], splits)
