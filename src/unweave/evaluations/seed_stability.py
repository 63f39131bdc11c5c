"""Whether a method finds the same features again from another seed (ICA Lens, Appendix; arXiv 2606.11722).

The method is fitted again with its own settings to the rows of the first corpus, from other seeds. Features of two fits
are matched one to one for the largest total similarity (Hungarian algorithm). Similarity is |cosine| of the atoms; of
features that are groups of codes it is ||P Q||_F / sqrt(r), with P and Q the projections onto their subspaces of r
dimensions: the root mean square cosine of the principal angles, which is |cosine| for r = 1.

The null matches the features with random directions (subspaces) as many as there are. Where a dictionary has reading
directions they are matched too (`readers`), which is what the paper does; after whitening they differ from atoms.
"""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]

READERS = "readers"
THRESHOLDS = (0.7, 0.9)
"""Similarities above which a feature counts as found again."""


class Settings(Strict):
    """Settings of seed stability; it needs the corpus that the dictionary was fitted to."""

    refits: Annotated[int, Field(ge=1)] = Field(default=1, description="further seeds, each as costly as the fit")


def similarities(atoms: Tensor, others: Tensor, group_size: int = 1) -> Tensor:
    """Similarity (G, G') of features whose atoms are the rows of (G r, d) and (G' r, d); 0 for atoms of zeros."""
    bases = [_bases(directions, group_size) for directions in (atoms, others)]
    gram = bases[0].flatten(0, 1) @ bases[1].flatten(0, 1).T
    squares = gram.square().reshape(len(bases[0]), group_size, len(bases[1]), group_size).sum(dim=(1, 3))
    similarity: Tensor = (squares / group_size).sqrt()
    return similarity


def _bases(atoms: Tensor, group_size: int) -> Tensor:
    """Orthonormal rows (G, r, d) that span each group's atoms; rows of zeros where these span less."""
    groups = atoms.double().cpu().reshape(-1, group_size, atoms.shape[1])
    _, values, rows = torch.linalg.svd(groups, full_matrices=False)
    spanned = values > 1e-6 * values.amax(dim=1, keepdim=True).clamp_min(1e-30)
    bases: Tensor = rows * spanned[:, :, None]
    return bases


def matched(similarity: Tensor) -> Floats:
    """Similarity (G,) of each feature to its partner in the one-to-one match of largest total; 0 without a partner."""
    found = np.zeros(len(similarity))
    rows, partners = linear_sum_assignment(similarity.numpy(), maximize=True)
    found[rows] = similarity.numpy()[rows, partners]
    return found


def random_like(atoms: Tensor, seed: int) -> Tensor:
    """Draw random directions, as many as the atoms (F, d).

    They come from numpy: torch's numbers of the same seed may be those that a method began with, and a short training
    does not lead far away from them.
    """
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(atoms.shape))


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Mean similarity to the partner over features, the share found again, and the null of both.

    Raises
    ------
    UnweaveError
        if it is not known how the dictionary was fitted.
    """
    if data.refit is None:
        raise UnweaveError("seed stability fits the method again, and how this dictionary was fitted is not recorded")
    size = dictionary.traits.group_size
    name, corpus = next(iter(data.corpora.items()))
    found, read = [], []
    for number in range(1, settings.refits + 1):
        again = data.refit(corpus.activations, {}, seed_offset=number)
        found.append(matched(similarities(dictionary.atoms, again.atoms, size)))
        if dictionary.readers is not None and again.readers is not None:
            read.append(matched(similarities(dictionary.readers, again.readers, size)))
    null = matched(similarities(dictionary.atoms, random_like(dictionary.atoms, seed), size))
    scores = []
    arms = {"": np.mean(found, axis=0), "random directions": null}
    if read:
        arms[READERS] = np.mean(read, axis=0)
    for label, values in arms.items():
        metrics = {"matched_similarity": values}
        metrics |= {f"found_again_{threshold:g}": values > threshold for threshold in THRESHOLDS}
        scores += [
            mean_score(metric, of_features, seed=seed, better=True, dataset=name, label=label)
            for metric, of_features in metrics.items()
        ]
    return scores
