"""Bits in the codes of a token: how much a dictionary's firing pattern can tell (Binary Autoencoder, arXiv 2509.20997).

A channel is 1 on a token where its feature fires. Three estimates of the joint entropy, in bits per token:

- `entropy_sum`: the sum over channels of their entropies, the paper's (with Miller and Madow's first correction); an
  upper bound that repeated or dependent channels inflate;
- `entropy_chow_liu`: the same less what pairs of channels share along the best tree: never above it, and never below
  the joint entropy;
- `entropy_joint`: the plug-in entropy of whole patterns, which cannot exceed log2 of the number of tokens.

Beside them stands `fvu`, the fraction of variance unexplained: an entropy alone says nothing, as fewer bits can be had
by explaining less. The control shuffles every channel over the tokens, which keeps its rate and breaks dependence.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.core.firing import firing
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import EvaluationData, target_of
from unweave.evaluations.intervals import percentile_interval, resampling_weights
from unweave.methods.bae.entropy import channel_entropies, chow_liu_entropy, miller_madow_entropy
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]

SHUFFLED = "shuffled over tokens"
DOCUMENT_DRAWS = 200
"""Resamples of documents: each counts all channels anew."""


class Settings(Strict):
    """Settings of the entropy of codes."""

    k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dense dictionary: its strongest"
    )
    tokens: Annotated[int, Field(ge=2)] = Field(default=10_000, description="of each corpus, from its beginning")


@dataclass(frozen=True)
class Bits:
    """Estimates of the joint entropy of binary codes, in bits."""

    summed: float
    chow_liu: float
    joint: float


def joint_entropy(fires: Tensor) -> float:
    """Plug-in entropy in bits of whole patterns (n, F)."""
    packed = np.packbits(fires.cpu().numpy(), axis=1)
    _, counts = np.unique(packed, axis=0, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def bits_of(fires: Tensor) -> Bits:
    """Estimate the entropy of patterns (n, F)."""
    ones = fires.float()
    joint = (ones.T @ ones).cpu()
    counts = joint.diagonal()
    return Bits(miller_madow_entropy(counts, len(fires)), chow_liu_entropy(joint, len(fires)), joint_entropy(fires))


def shuffled(fires: Tensor, rng: np.random.Generator) -> Tensor:
    """Patterns (n, F) whose every channel is permuted by itself."""
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(len(fires))[:, None], fires.shape[1]), axis=0))
    return fires.cpu().gather(0, order)


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Estimates of the entropy of every corpus' codes, the FVU, and the control.

    Raises
    ------
    UnweaveError
        if a corpus lacks the site that the dictionary rebuilds or holds a single document.
    """
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        target = target_of(dictionary, name, corpus)
        n = min(settings.tokens, corpus.activations.n)
        (x,), (goal,) = (source.slices([(0, n)]) for source in (corpus.activations, target))
        x, goal = x.to(data.device), goal.to(data.device)
        codes = dictionary.encode(x)
        fires = firing(dictionary, codes, settings.k)
        error = (goal - dictionary.decode(codes, like=x)).square().sum(dtype=torch.float64)
        total = (goal - goal.mean(dim=0)).square().sum(dtype=torch.float64)
        if total == 0:
            raise UnweaveError(f"{name}: all activations are equal: evaluate on another corpus")
        documents = Documents.of(corpus.tokens.docs[:n])

        score = partial(Score, dataset=name, n=n, seed=seed)
        bits_score = partial(score, unit="bits", higher_is_better=None)
        bits = bits_of(fires)
        low, high = summed_interval(fires, documents, bits.summed, seed)
        control = bits_of(shuffled(fires, np.random.default_rng(seed)))
        scores += [
            bits_score(metric="entropy_sum", value=bits.summed, ci_low=low, ci_high=high),
            bits_score(metric="entropy_chow_liu", value=bits.chow_liu),
            bits_score(metric="entropy_joint", value=bits.joint),
            bits_score(metric="entropy_chow_liu", value=control.chow_liu, label=SHUFFLED),
            bits_score(metric="entropy_joint", value=control.joint, label=SHUFFLED),
            score(metric="fvu", value=float(error / total), unit="1", higher_is_better=False),
        ]
    return scores


def summed_interval(fires: Tensor, documents: Documents, value: float, seed: int) -> tuple[float, float]:
    """Interval of the sum of channel entropies, whose estimate is `value`, over resampled documents.

    A resample repeats documents and so has less entropy than the tokens: its spread is kept, around `value`.
    """
    counts = torch.zeros(len(documents.indices), fires.shape[1], dtype=torch.float64)
    counts.index_add_(0, torch.from_numpy(documents.of_row), fires.cpu().double())
    weights = resampling_weights(len(documents.indices), seed)[:DOCUMENT_DRAWS]
    rates = (torch.from_numpy(weights) @ counts) / torch.from_numpy(weights @ documents.lengths)[:, None]
    summed = torch.stack([channel_entropies(rate, 1).sum() for rate in rates]).numpy()
    low, high = percentile_interval(summed - summed.mean())
    return value + low, value + high
