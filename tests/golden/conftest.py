"""Our evaluations beside the reference implementations, on the same inputs in one process: `make golden`.

Collected only where the references are installed, which is their own environment (envs/golden.in).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredTokens
from unweave.evaluations.evaluation import EvaluationData
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary
from unweave.methods.sae.dictionary import SparseAutoencoder
from unweave.methods.sasa.dictionary import SubspaceDictionary

collect_ignore_glob = [] if find_spec("sae_bench") else ["test_*.py"]

D, F, CONTEXT = 16, 48, 12
CLASSES = ("0", "1", "2", "6", "9")
"""What SAEBench calls the classes of the one data set of five that it takes from a file."""
UNKNOWN = "<unk>"
DATASET = "LabHC/bias_in_bios_class_set1"


def dictionaries() -> dict[str, Dictionary]:
    """One of each kind, whose encoding has an offset, so that padding has codes."""
    generator = torch.Generator().manual_seed(0)

    def unit(rows: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(rows, D, generator=generator))

    atoms, readers = unit(F), unit(F)
    autoencoder = {"W_enc": readers, "center": torch.zeros(D), "b_enc": torch.full((F,), 0.3)}
    autoencoder |= {"W_dec": atoms, "b_dec": torch.zeros(D)}
    subspaces = {"encoder": readers, "decoder": atoms, "encoder_bias": torch.full((F,), 0.2)}
    subspaces |= {"decoder_bias": torch.full((D,), 0.1)}
    unsigned = Traits(signed=False, linear=False)
    return {
        "linear": LinearDictionary.build(torch.full((D,), 0.2), readers, atoms),
        "relu": SparseAutoencoder(autoencoder, unsigned, {"gate": "relu"}),
        "topk": SparseAutoencoder(autoencoder, unsigned, {"gate": "topk", "k": 6}),
        "groups": SubspaceDictionary.build(subspaces, group_size=4, active_groups=3, layer_norm=False),
    }


@pytest.fixture(params=["linear", "relu", "topk", "groups"])
def dictionary(request):
    return dictionaries()[request.param]


@dataclass
class Corpus:
    activations: InMemoryActivations
    tokens: StoredTokens
    labels: np.ndarray
    splits: np.ndarray
    label_names: list[str]
    texts: list[str]


@pytest.fixture(scope="session")
def labelled():
    """Texts of five classes of unequal length: padded per class as SAEBench holds them, and as a corpus of ours."""
    generator = torch.Generator().manual_seed(1)
    padded: dict[str, dict[str, torch.Tensor]] = {"train": {}, "test": {}}
    rows, docs, positions, labels, splits = [], [], [], [], []
    directions = torch.randn(len(CLASSES), D, generator=generator)
    for split, per_class in (("train", 60), ("test", 40)):
        for label, title in enumerate(CLASSES):
            texts = torch.zeros(per_class, CONTEXT, D)
            for text in texts:
                length = int(torch.randint(4, CONTEXT + 1, (1,), generator=generator))
                text[:length] = torch.randn(length, D, generator=generator) + 0.35 * directions[label]
                rows.append(text[:length])
                docs += [len(labels)] * length
                positions += range(length)
                labels.append(label)
                splits.append(split)
            padded[split][title] = texts
    tokens = StoredTokens(np.zeros(len(docs), dtype=np.int64), np.array(docs), np.array(positions))
    corpus = Corpus(
        InMemoryActivations(torch.cat(rows)),
        tokens,
        np.array(labels),
        np.array(splits),
        list(CLASSES),
        [""] * len(labels),
    )
    return SimpleNamespace(padded=padded, corpus=corpus, dataset=DATASET, context=CONTEXT)


@pytest.fixture(scope="session")
def restricted(labelled):
    """Make a corpus of some of the classes, renamed."""

    def make(classes, names):
        whole = labelled.corpus
        documents = np.flatnonzero(np.isin(whole.labels, classes))
        kept = np.isin(whole.tokens.docs, documents)
        docs, positions = np.searchsorted(documents, whole.tokens.docs[kept]), whole.tokens.positions[kept]
        return Corpus(
            InMemoryActivations(whole.activations.rows()[torch.from_numpy(kept)]),
            StoredTokens(np.zeros(len(docs), dtype=np.int64), docs, positions),
            np.searchsorted(classes, whole.labels[documents]),
            whole.splits[documents],
            list(names),
            [""] * len(documents),
        )

    return make


@pytest.fixture(scope="session")
def make_data():
    def make(corpus, model_folder=None):
        return EvaluationData("resid", 1, torch.device("cpu"), model_folder, {"c": corpus})

    return make


@pytest.fixture
def reference_sae():
    """Wrap a dictionary of ours as SAEBench wants it."""
    from unweave.interchange.saebench import as_sae_bench

    def wrapped(dictionary: Dictionary, hook_name: str | None = None):
        return as_sae_bench(dictionary, "model", 1, hook_name)

    return wrapped


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A three-block Llama that has learned its few texts, with a tokenizer of words, in a folder and in memory."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["the", "a", "bank", "river", "boat", "loan", "paid", "drifted", "money", "small", "muddy", "she", "he"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate([UNKNOWN, *words])}, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token=UNKNOWN)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words) + 1,
        hidden_size=D,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    model = LlamaForCausalLM(config)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, size=9)) for _ in range(5)]
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    ids = torch.tensor([tokenizer(text)["input_ids"] for text in texts])
    for _ in range(40):
        optimiser.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
    model.eval()
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "manifest.json").write_text('{"name": "tiny", "revision": "r0"}')
    return SimpleNamespace(folder=folder, model=model, tokenizer=tokenizer, texts=texts)
