"""Bits in the codes of a set of rows, by a dictionary of the same method that is fitted to such rows alone.

Also two measures of the rows that need no fit: what signs of their principal components say, and how many dimensions
they spread over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.evaluations.code_entropy import Bits, bits_of, summed_interval
from unweave.evaluations.core.firing import firing
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import EvaluationData, Refit
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

PCA_SIGNS = "PCA signs"


@dataclass(frozen=True)
class Refitted:
    """What a method that was fitted to rows of one kind makes of rows of that kind."""

    fires: Tensor
    """(n, F) which features fire."""
    bits: Bits
    fvu: float
    """Fraction of variance unexplained."""


def refit_of(dictionary: Dictionary, data: EvaluationData) -> Refit:
    """How the method of the dictionary is fitted anew.

    Raises
    ------
    UnweaveError
        if that is not known, or it rebuilds other activations than it reads.
    """
    if data.refit is None or dictionary.traits.writes is not None:
        raise UnweaveError("a method is fitted anew to rows, which this one cannot be: leave it out (`methods`)")
    return data.refit


def refitted(
    refit: Refit, train: Tensor, test: Tensor, replaced: Mapping[str, Any], k: int, device: torch.device
) -> Refitted:
    """Fit the rows `train` (m, d) and encode `test` (n, d), on which k features of a dense dictionary fire."""
    dictionary = refit(InMemoryActivations(train), dict(replaced))
    x = test.to(device)
    codes = dictionary.encode(x)
    fires = firing(dictionary, codes, k)
    error = (x - dictionary.decode(codes, like=x)).square().sum(dtype=torch.float64)
    total = (x - x.mean(dim=0)).square().sum(dtype=torch.float64)
    return Refitted(fires, bits_of(fires), float(error / total))


def pca_signs(x: Tensor, components: int) -> Tensor:
    """Signs (n, components) of the principal components of rows x (n, d)."""
    centred = x - x.mean(dim=0)
    axes = torch.linalg.svd(centred.double(), full_matrices=False)[2][:components].to(x.dtype)
    signs: Tensor = centred @ axes.T > 0
    return signs


def participation_ratio(x: Tensor) -> float:
    """Dimensions that rows x (n, d) spread over: (sum of variances)^2 / sum of their squares, of the principal axes."""
    variances = torch.linalg.svdvals((x - x.mean(dim=0)).double()).square()
    return float(variances.sum().square() / variances.square().sum())


def entropy_scores(
    found: Refitted, x: Tensor, k: int, seed: int, *, dataset: str, label: str, x_name: str, at: float
) -> list[Score]:
    """Estimates of the entropy of rows x (n, d) at a point of a curve, and what they are to be read beside.

    The interval of the summed entropy resamples rows, with the codes as they are. PCA signs are those of k components.
    """
    score = partial(Score, dataset=dataset, n=len(x), x_name=x_name, x=at, seed=seed, higher_is_better=None)
    bits = partial(score, unit="bits")
    low, high = summed_interval(found.fires, Documents.of(np.arange(len(x))), found.bits.summed, seed)
    signs = bits_of(pca_signs(x, min(k, x.shape[1])))
    of_signs = f"{label}, {PCA_SIGNS}" if label else PCA_SIGNS
    return [
        bits(metric="entropy_sum", value=found.bits.summed, ci_low=low, ci_high=high, label=label),
        bits(metric="entropy_chow_liu", value=found.bits.chow_liu, label=label),
        bits(metric="entropy_joint", value=found.bits.joint, label=label),
        bits(metric="entropy_sum", value=signs.summed, label=of_signs),
        bits(metric="entropy_chow_liu", value=signs.chow_liu, label=of_signs),
        score(metric="fvu", value=found.fvu, unit="1", label=label),
        score(metric="norm", value=float(x.norm(dim=1).mean()), unit="activation", label=label),
        score(metric="dimensions", value=participation_ratio(x), unit="dimensions", label=label),
    ]
