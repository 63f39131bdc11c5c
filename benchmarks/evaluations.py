"""TPP and sparse probing beside sae-bench, on the same activations, codes and probes.

Runs in the environment of `make golden`, which holds sae-bench. Texts are runs of real activations, 24 to 80 tokens
long, which sae-bench pads to 128 as it does all texts; classes are dealt to them, as times do not depend on what they
mean. Both sides give the same numbers (tests/golden).
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sae_bench.custom_saes.base_sae import BaseSAE
from sae_bench.evals.scr_and_tpp import main as scr_and_tpp
from sae_bench.evals.sparse_probing import probe_training
from sae_bench.evals.sparse_probing.eval_config import SparseProbingEvalConfig
from sae_bench.evals.sparse_probing.main import run_eval_single_sae
from torch import Tensor

from benchmarks.data import Data
from benchmarks.goal import Goal, paired
from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredTokens
from unweave.evaluations.balanced_samples import Draws
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import resampling_weights
from unweave.evaluations.linear_probes import Probes
from unweave.evaluations.probe_ablation import read_texts
from unweave.evaluations.sparse_probing import Settings as ProbingSettings
from unweave.evaluations.sparse_probing import evaluate as probe
from unweave.evaluations.tpp import Settings, tpp
from unweave.methods.dictionary import Traits
from unweave.methods.sae.dictionary import SparseAutoencoder

CPU = torch.device("cpu")
CLASSES = ("0", "1", "2", "6", "9")
DATASET = "LabHC/bias_in_bios_class_set1"
TRAIN, TEST = 60, 20
"""Texts of each class."""
SHORTEST, LONGEST, CONTEXT = 24, 80, 128
LATENTS = 2304
N = [2, 5, 10, 20, 50, 100, 500]


def texts(x: Tensor) -> tuple[dict[str, dict[str, Tensor]], SimpleNamespace]:
    """Texts as sae-bench holds them, padded by class, and as a corpus of ours."""
    rng = np.random.default_rng(0)
    padded: dict[str, dict[str, Tensor]] = {"train": {}, "test": {}}
    rows, docs, labels, splits, start = [], [], [], [], 0
    for split, count in (("train", TRAIN), ("test", TEST)):
        for label, title in enumerate(CLASSES):
            held = torch.zeros(count, CONTEXT, x.shape[1])
            for text in held:
                length = int(rng.integers(SHORTEST, LONGEST + 1))
                text[:length] = x[start : start + length]
                rows.append(x[start : start + length])
                start += length
                docs += [len(labels)] * length
                labels.append(label)
                splits.append(split)
            padded[split][title] = held
    corpus = SimpleNamespace(
        activations=InMemoryActivations(torch.cat(rows)),
        tokens=StoredTokens(np.zeros(len(docs), dtype=np.int64), np.array(docs), np.zeros(len(docs), dtype=np.int64)),
        labels=np.array(labels),
        splits=np.array(splits),
        label_names=list(CLASSES),
        texts=[""] * len(labels),
    )
    return padded, corpus


def dictionary(d: int) -> SparseAutoencoder:
    """Untrained: times depend on shapes alone."""
    generator = torch.Generator().manual_seed(0)
    W_dec = torch.nn.functional.normalize(torch.randn(LATENTS, d, generator=generator))
    tensors = {"W_enc": W_dec.clone(), "center": torch.zeros(d), "b_enc": torch.zeros(LATENTS)}
    tensors |= {"W_dec": W_dec, "b_dec": torch.zeros(d)}
    return SparseAutoencoder(tensors, Traits(signed=False, linear=False), {"gate": "relu"})


class Wrapped(BaseSAE):
    """A dictionary of ours as sae-bench wants it."""

    def __init__(self, ours: SparseAutoencoder) -> None:
        super().__init__(ours.atoms.shape[1], len(ours.atoms), "model", 1, CPU, torch.float32)
        self.ours = ours
        self.W_dec.data = ours.atoms

    def encode(self, x: Tensor) -> Tensor:
        """Codes of x (..., d)."""
        return self.ours.encode(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)

    def decode(self, feature_acts: Tensor) -> Tensor:
        """Activations of codes (..., F)."""
        return self.ours.decode(feature_acts.reshape(-1, feature_acts.shape[-1])).reshape(*feature_acts.shape[:-1], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct x."""
        return self.decode(self.encode(x))


def goals(data: Data) -> Iterator[Goal]:
    """Measure both."""
    x = data.resid.rows()
    padded, corpus = texts(x)
    ours = dictionary(x.shape[1])
    yield perturbation(ours, padded, corpus)
    yield probing(ours, padded, corpus)


@torch.no_grad()
def perturbation(ours: SparseAutoencoder, padded: dict[str, dict[str, Tensor]], corpus: SimpleNamespace) -> Goal:
    """P19: effects, ablations and accuracies for all N, given the probes."""
    d = ours.atoms.shape[1]
    weights = torch.randn(len(CLASSES), d, generator=torch.Generator().manual_seed(1))
    probes = Probes(weights.double().numpy(), np.zeros(len(CLASSES)))
    reference = {}
    for title, weight in zip(CLASSES, weights, strict=True):
        reference[title] = probe_training.Probe(d, torch.float32)
        reference[title].net.weight.data[0], reference[title].net.bias.data[0] = weight, 0.0
    sae, classes = Wrapped(ours), list(CLASSES)

    def theirs() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            train, test = padded["train"], padded["test"]
            effects = scr_and_tpp.get_all_node_effects_for_one_sae(sae, reference, classes, False, train, 125)
            scr_and_tpp.perform_feature_ablations(reference, sae, 125, test, effects, N, classes, 500, False)

    settings = Settings(n=N, control_draws=1)

    def mine() -> None:
        read = read_texts("texts", corpus, ours, CPU)
        resamples = resampling_weights(len(read.test.labels), 0, strata=read.test.labels)
        tpp(read, settings, Draws.fixed(0), resamples, 0, probes)

    times = paired(mine, theirs)
    return Goal(
        goal="P19",
        name="TPP for seven N against sae-bench, probes given",
        ours=times.ours,
        peer=times.peer,
        unit="s",
        ratio=times.ratio,
        target=10,
        pairs=times.pairs,
        spread=times.spread,
        note=f"{len(CLASSES)} classes of {TRAIN} and {TEST} texts, F={LATENTS}; ours with 2,000 resamples and control",
    )


@torch.no_grad()
def probing(ours: SparseAutoencoder, padded: dict[str, dict[str, Tensor]], corpus: SimpleNamespace) -> Goal:
    """P20: pooling codes and probing, in the mode whose numbers are those of sae-bench."""
    sae = Wrapped(ours)
    config = SparseProbingEvalConfig(dataset_names=[DATASET], k_values=[1, 2, 5], lower_vram_usage=True)
    given = {"llm_results": {"llm_test_accuracy": dict.fromkeys(CLASSES, 0.0)}}
    data = EvaluationData("resid", 1, CPU, Path("none"), {"texts": corpus})
    with tempfile.TemporaryDirectory() as folder:
        torch.save({**padded, **given}, Path(folder) / f"{DATASET.replace('/', '_')}_activations.pt")
        no_model = SimpleNamespace(to=lambda *_: no_model)

        def theirs() -> None:
            with contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
                run_eval_single_sae(config, sae, no_model, "cpu", folder)

        times = paired(lambda: probe(ours, data, ProbingSettings(k=[1, 2, 5], saebench_compat=True), 42), theirs)
    return Goal(
        goal="P20",
        name="sparse probing against sae-bench",
        ours=times.ours,
        peer=times.peer,
        unit="s",
        ratio=times.ratio,
        target=3,
        pairs=times.pairs,
        spread=times.spread,
        note=f"{len(CLASSES)} classes of {TRAIN} and {TEST} texts, F={LATENTS}, k 1, 2, 5; theirs reads a file",
    )
