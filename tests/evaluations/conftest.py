"""Planted corpora, dictionaries with known codes, and a tiny model that has learned its few sentences."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations, Statistics
from unweave.activations.store import StoredTokens
from unweave.evaluations.evaluation import EvaluationData
from unweave.methods.linear import LinearDictionary

UNKNOWN = "<unk>"
SENTENCES = [
    "the bank approved a small loan",
    "she paid the money into the bank account",
    "he sat on the river bank and watched the water",
    "the boat drifted to the muddy bank",
    "a small boat watched the river",
    "the account approved the money",
]


class Rows(Activations):
    """A tensor (n, d), read in several blocks."""

    def __init__(self, x: Tensor) -> None:
        self.x = x.float()
        self.n, self.d = x.shape

    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        for start, stop in ranges:
            yield self.x[start:stop]

    def blocks(self, size: int = 8192) -> Iterator[Tensor]:
        return super().blocks(min(size, 137))

    def statistics(self, *, row_norm: bool) -> Statistics:
        x = (row_normalised(self.x) if row_norm else self.x).double()
        covariance = np.cov(x.numpy(), rowvar=False, ddof=0)
        return Statistics(self.n, x.mean(dim=0).numpy(), covariance, float(self.x.norm(dim=1).mean()))


@dataclass
class PlantedCorpus:
    activations: Rows
    tokens: StoredTokens
    texts: list[str] = field(default_factory=list)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    splits: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    label_names: list[str] = field(default_factory=list)


def planted_corpus(x: Tensor, documents: int = 20, **facts: object) -> PlantedCorpus:
    """Rows x (n, d) dealt to `documents` documents of nearly equal length, in order."""
    docs = np.sort(np.arange(len(x)) % documents)
    positions = np.concatenate([np.arange(count) for count in np.bincount(docs)]) + 1
    tokens = StoredTokens(np.zeros(len(x), dtype=np.int64), docs, positions)
    return PlantedCorpus(Rows(x), tokens, **facts)


def planted_data(corpora: dict[str, PlantedCorpus], model_folder: Path = Path("no-model")) -> EvaluationData:
    return EvaluationData("resid", 1, torch.device("cpu"), model_folder, corpora)


def orthonormal_dictionary(d: int, seed: int = 0, *, row_norm: bool = False) -> LinearDictionary:
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)))[0]
    return LinearDictionary.build(torch.zeros(d), basis, basis, row_norm=row_norm)


@pytest.fixture(scope="session")
def in_memory() -> Callable[[Tensor], Rows]:
    return Rows


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., PlantedCorpus]:
    return planted_corpus


@pytest.fixture(scope="session")
def make_data() -> Callable[..., EvaluationData]:
    return planted_data


@pytest.fixture(scope="session")
def make_dictionary() -> Callable[..., LinearDictionary]:
    return orthonormal_dictionary


@pytest.fixture(scope="session")
def find() -> Callable[..., float]:
    """Value of the one score with the given fields."""

    def value(scores, **fields):
        matches = [s for s in scores if all(getattr(s, name) == wanted for name, wanted in fields.items())]
        assert len(matches) == 1, f"{len(matches)} scores with {fields}"
        return matches[0].value

    return value


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A three-block Llama that has learned SENTENCES, with its tokenizer and manifest."""
    folder = tmp_path_factory.mktemp("tiny-model")
    vocabulary = {word: i for i, word in enumerate([UNKNOWN, *sorted({w for s in SENTENCES for w in s.split()})])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token=UNKNOWN)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    model = LlamaForCausalLM(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    batches = [torch.tensor([tokenizer(sentence)["input_ids"]]) for sentence in SENTENCES]
    for _ in range(15):
        for ids in batches:
            optimiser.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimiser.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "manifest.json").write_text(json.dumps({"name": "tiny", "revision": "r0"}))
    return folder


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return list(SENTENCES)
