"""How near a dictionary's atoms lie to those of another method (ICA Lens, directional overlap; arXiv 2606.11722).

The rival is fitted in the same job to the first corpus; which method it is, and with which settings, says the
configuration. Of each atom the largest |cosine| with an atom of the rival is taken: writing directions on both sides,
as the paper's second version has it. Wider dictionaries have nearer neighbours by chance, so the null is a dictionary
of random isotropic directions as many as the rival's; `beyond_null` is the share of atoms nearer than 95 % of those.
Atoms of both sides may also lean to the same few directions without being the same: the null with the second moment of
the rival's atoms (`random, rival's covariance`) takes that away. Where the dictionary has reading directions of that
width they are compared with the rival's atoms too (`readers`), as in the paper's first version.
"""

from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from unweave.config import Strict, validated
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import percentile_interval, resampling_weights
from unweave.methods.dictionary import Dictionary, Fit
from unweave.methods.fit import method_module
from unweave.results.scores import Score

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.5, 0.95)
NEAR = 0.7
NULL, ANISOTROPIC, READERS = "random directions", "random, rival's covariance", "readers"
BLOCK = 1024


class Settings(Strict):
    """Settings of directional overlap; it needs the corpus that the dictionary was fitted to."""

    rival: str = Field(default="sae", description="method that the other dictionary is fitted by")
    rival_settings: dict[str, Any] = Field(
        default={
            "gate": {"kind": "topk", "k": 32},
            "expansion": 4,
            "tokens": 300_000,
            "batch_size": 1024,
            "learning_rate": 1e-3,
            "warmup_steps": 20,
        },
        description="settings of that method",
    )
    rival_seed: Annotated[int, Field(ge=0)] = Field(default=1, description="seed of that fit")


def nearest(atoms: Tensor, others: Tensor) -> Floats:
    """Largest |cosine| (F,) of each atom (F, d) with one of the others (F', d); 0 for an atom of zeros."""
    unit = normalize(others.double())
    found = [(normalize(block.double()) @ unit.T).abs().amax(dim=1) for block in torch.split(atoms, BLOCK)]
    cosines: Floats = torch.cat(found).clamp_max(1).cpu().numpy()
    return cosines


def root_of_second_moment(atoms: Tensor) -> Tensor:
    """Symmetric square root (d, d), float64, of the mean outer product of unit atoms (F, d)."""
    unit = normalize(atoms.double())
    values, axes = torch.linalg.eigh(unit.T @ unit / len(unit))
    root: Tensor = (axes * values.clamp_min(0).sqrt()) @ axes.T
    return root


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Mean, quantiles and shares of the nearest |cosine| over atoms, and the null of each.

    Raises
    ------
    UnweaveError
        if the rival cannot be fitted or writes another width.
    """
    name, corpus = next(iter(data.corpora.items()))
    module = method_module(settings.rival)
    chosen = validated(module.Settings, settings.rival_settings, f"settings of {settings.rival}")
    # Evaluations run in inference mode, whose tensors cannot be learned from.
    with torch.inference_mode(False):
        fit: Fit = module.fit(corpus.activations, chosen, settings.rival_seed, data.device)
    atoms, others = dictionary.atoms.float().cpu(), fit.dictionary.atoms.float().cpu()
    if atoms.shape[1] != others.shape[1]:
        raise UnweaveError(
            f"{name}: atoms of {atoms.shape[1]} dimensions have no angle with those of {others.shape[1]} of the rival: "
            "leave transcoders out (`methods`)"
        )
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(others.shape)))
    cosines, null = nearest(atoms, others), nearest(atoms, drawn)
    leaning = nearest(atoms, drawn @ root_of_second_moment(others))
    weights = resampling_weights(len(cosines), seed) / len(cosines)
    threshold = float(np.quantile(null, 0.95))
    scores: list[Score] = []
    arms = {"": cosines, NULL: null, ANISOTROPIC: leaning}
    if dictionary.readers is not None and dictionary.readers.shape == atoms.shape:
        arms[READERS] = nearest(dictionary.readers.float().cpu(), others)
    for label, values in arms.items():
        shares = {"near_share": values > NEAR, "beyond_null": values > threshold}
        if not label:
            shares["beyond_covariance_null"] = values > float(np.quantile(leaning, 0.95))
        by_metric = {"nearest_cosine": values} | {metric: share.astype(np.float64) for metric, share in shares.items()}
        for metric, of_atoms in by_metric.items():
            low, high = percentile_interval(weights @ of_atoms)
            scores.append(_score(name, metric, float(of_atoms.mean()), len(values), label, seed, (low, high)))
        scores += [
            _score(name, "nearest_cosine_quantile", float(np.quantile(values, q)), len(values), label, seed, x=q)
            for q in QUANTILES
        ]
    return scores


def _score(
    name: str,
    metric: str,
    value: float,
    n: int,
    label: str,
    seed: int,
    interval: tuple[float, float] | None = None,
    x: float | None = None,
) -> Score:
    return Score(
        metric=metric,
        value=value,
        dataset=name,
        n=n,
        unit="1",
        higher_is_better=None,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        x_name="" if x is None else "quantile",
        x=x,
        label=label,
        seed=seed,
    )
