"""A small site of planted dictionaries: every feature is known to stand for one word of the texts."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from unweave.activations.store import StoredTokens
from unweave.activations.writer import write_store
from unweave.config import ExplorerLimits
from unweave.datasets.stored import hash_dataset
from unweave.explorer.explore import explore, place
from unweave.explorer.site import make_site
from unweave.methods.bae.dictionary import BinaryAutoencoder
from unweave.methods.dictionary import Dictionary, Fit, save
from unweave.methods.linear import LinearDictionary
from unweave.methods.sasa.dictionary import SubspaceDictionary
from unweave.methods.snmf.dictionary import TRAITS
from unweave.methods.snmf_hierarchy import FeatureTree
from unweave.results import scores
from unweave.results.scores import Score, ScoreKey

MARKUP = ["<script>hacked=1</script>", "<img/src=x/onerror=hacked=1>", "</title><b>bold</b>"]
UNKNOWN = "<unk>"
WORDS = ["the", "bank", "river", "loan", "boat", "water", "money", "account", "a", "small", "muddy", "pays", *MARKUP]
D = 16
LENGTH, DOCUMENTS = 20, 30
MANY = 350
CORPUS = "news"


def save_model(folder: Path) -> Path:
    vocabulary = {word: i for i, word in enumerate([UNKNOWN, *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=D,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=core, unk_token=UNKNOWN).save_pretrained(folder)
    (folder / "manifest.json").write_text(json.dumps({"name": "tiny", "revision": "r0"}))
    return folder


def save_corpus(folder: Path) -> None:
    """Texts of random words. Activations of a word are along its own axis; the first token of a text has none."""
    words = np.random.default_rng(0).integers(len(WORDS), size=(DOCUMENTS, LENGTH))
    texts = [" ".join(WORDS[word] for word in row) for row in words]
    rows = {"text": texts, "label": [-1] * DOCUMENTS, "split": ["test"] * DOCUMENTS, "source_id": texts}
    datasets.Dataset.from_dict(rows).save_to_disk(folder / "text")
    kept = words[:, 1:]
    docs = np.repeat(np.arange(DOCUMENTS), LENGTH - 1)
    tokens = StoredTokens(kept.ravel() + 1, docs, np.tile(np.arange(1, LENGTH), DOCUMENTS))
    noise = torch.randn(len(docs), D, generator=torch.Generator().manual_seed(0))
    x = torch.eye(D)[torch.from_numpy(kept.ravel())] * 5 + 0.1 * noise
    write_store(
        folder / "resid.h5", {"dataset_sha256": hash_dataset(folder / "text")}, tokens, D, torch.float32, {1: [x]}
    )


def planted_dictionaries() -> dict[str, Dictionary]:
    """Feature i stands for word i; one dictionary of each kind, and one of many features."""
    axes, zeros = torch.eye(D), torch.zeros(D)
    bits = {
        "encoder": axes,
        "encoder_bias": zeros - 2.5,
        "atoms": axes.clone(),
        "decoder_bias": zeros,
        "rates": zeros + 0.1,
    }
    groups = {"encoder": axes, "decoder": axes.clone(), "encoder_bias": zeros, "decoder_bias": zeros.clone()}
    links = torch.kron(torch.eye(D // 4), torch.ones(1, 4))
    many: Tensor = torch.randn(MANY, D, generator=torch.Generator().manual_seed(1))
    return {
        "axes": LinearDictionary.build(zeros, axes, axes.clone()),
        "bits": BinaryAutoencoder.build(bits, bits=1),
        "groups": SubspaceDictionary.build(groups, group_size=4, active_groups=1, layer_norm=False),
        "tree": FeatureTree({"atoms": axes, "level_1.atoms": links @ axes, "level_1.links": links}, TRAITS),
        "many": LinearDictionary.build(zeros, many, many.clone()),
    }


def key_of(method: str) -> dict[str, str | int]:
    return {"model": "tiny", "site": "resid", "layer": 1, "method": method, "seed": 0}


def save_scores(path: Path) -> None:
    """A table in which `comsem` has named the feature of `bank`."""
    facts = {"model": "tiny", "revision": "r0", "site": "resid", "layer": 1, "method": "axes", "fit_seed": 0}
    key = ScoreKey(**facts, evaluation="comsem", device="cpu", code="", spec="")
    named = Score(
        metric="explanation",
        value=0.75,
        dataset=CORPUS,
        n=8,
        unit="1",
        higher_is_better=None,
        x_name="feature",
        x=WORDS.index("bank"),
        label="<i>word</i>: bank",
    )
    scores.write(path, scores.table(key, [named]))


def explored(folder: Path, method: str, dictionary: Dictionary, **limits: int) -> Path:
    """Table of a dictionary that was explored into `folder/site`."""
    key = key_of(method)
    output = folder / "site/data" / place(key) / "table.js"
    save(Fit(dictionary), folder / "dictionaries" / method, {"settings": {}, "seed": 0})
    explore(
        dictionary_folder=folder / "dictionaries" / method,
        activation_paths={CORPUS: folder / "resid.h5"},
        dataset_folders={CORPUS: folder / "text"},
        model_folder=folder / "model",
        score_paths=[folder / "comsem.parquet"] if method == "axes" else [],
        key=key,
        limits=ExplorerLimits(**limits),
        output=output,
        device=torch.device("cpu"),
    )
    return output


@pytest.fixture(scope="session")
def planted() -> dict[str, Dictionary]:
    return planted_dictionaries()


@pytest.fixture(scope="session")
def explore_into() -> Callable[..., Path]:
    return explored


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages read: model, corpus and scores."""
    folder = tmp_path_factory.mktemp("explorer")
    save_model(folder / "model")
    save_corpus(folder)
    save_scores(folder / "comsem.parquet")
    return folder


@pytest.fixture(scope="session")
def site(inputs: Path) -> Path:
    """The finished site."""
    found = planted_dictionaries()
    for method, dictionary in found.items():
        explored(inputs, method, dictionary)
    make_site(
        dictionary_keys=[key_of(method) for method in found],
        titles={
            "methods": {method: f"Planted {method}" for method in found},
            "datasets": {CORPUS: "News"},
            "models": {"tiny": "Tiny"},
        },
        activation_paths={f"tiny/{CORPUS}": inputs / "resid.h5"},
        dataset_folders={CORPUS: inputs / "text"},
        model_folders={"tiny": inputs / "model"},
        most_tokens=10_000,
        output=inputs / "site/index.html",
    )
    return inputs / "site"
