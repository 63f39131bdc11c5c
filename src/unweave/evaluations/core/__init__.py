"""Reconstruction, sparsity, firing and geometry of a dictionary, and what the language model loses by it.

The quantities of SAEBench's "core" with correct definitions; where a library means something else by the same name, its
number stands beside it under a name of its own (see `variance`). One pass over the corpus with all codes, float64 sums,
intervals from resampled documents. Firings are exact counts on the tokens of the corpus and have no interval: a
resample of the documents would call every feature dead that fires in only one of them.

A dictionary that rebuilds another site than it reads (a transcoder) is compared with the activations of that site.
The label says which tokens count: `all positions`, only where a harvest kept the first one (the attention sink, whose
massive activation may decide every sum of squares), and `without the first position`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations import patching
from unweave.evaluations.core.directions import nearest_cosines, paired_cosines
from unweave.evaluations.core.firing import density_bins, density_shares, firing_shares, firings_per_document
from unweave.evaluations.core.tally import ALL_POSITIONS, WITHOUT_FIRST, Tally, tallies
from unweave.evaluations.core.variance import fve_overcomplete, fve_saebench, total_variance
from unweave.evaluations.evaluation import EvaluationData, target_of
from unweave.evaluations.intervals import percentile_interval, resampling_weights
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

QUANTILES = (0.1, 0.5, 0.9)

Floats = NDArray[np.float64]

METRICS: dict[str, tuple[str, bool | None]] = {
    "fve": ("1", True),
    "fve_saebench": ("1", True),
    "fve_saebench_legacy": ("1", True),
    "fve_overcomplete": ("1", True),
    "mse": ("squared activation", False),
    "mse_per_coordinate": ("squared activation", False),
    "cosine": ("1", True),
    "norm_in": ("activation", None),
    "norm_out": ("activation", None),
    "norm_ratio": ("1", None),
    "relative_bias": ("1", None),
    "l0": ("codes", None),
    "features_per_token": ("features", None),
    "l1": ("code", None),
    "l1_saebench": ("code", None),
}
"""Unit of each metric of whole tokens, and whether higher is better."""


class Settings(Strict):
    """Settings of the core evaluation."""

    k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dense dictionary: its strongest"
    )
    patched_tokens: Annotated[int, Field(ge=0)] = Field(
        default=1000,
        description="positions at which the language model continues from the reconstruction; 0 leaves the model out",
    )


def token_statistics(tally: Tally, weights: Floats) -> dict[str, Floats]:
    """Every metric of METRICS (draws,), for documents taken with `weights` (draws, D)."""
    n = weights @ tally.lengths
    sums = {name: weights @ values for name, values in tally.sums.items()}
    mean = {name: values / n for name, values in sums.items()}
    total = total_variance(weights, tally.lengths, tally.sums["energy"], tally.row_sums)
    d = tally.row_sums.shape[1]
    coordinate_mean = (weights @ tally.row_sums.sum(axis=1)) / n / d
    # A reconstruction that is zero everywhere shrinks everything away: the limit of a reconstruction c t as c vanishes.
    silent = sums["energy_out"] == 0
    bias = np.where(silent, 0.0, sums["energy_out"] / np.where(silent, 1.0, sums["inner"]))
    return {
        "fve": 1 - sums["error"] / total,
        "fve_saebench": fve_saebench(mean["error"], mean["energy"], d),
        "fve_saebench_legacy": mean["explained_legacy"],
        "fve_overcomplete": fve_overcomplete(mean["error"], mean["energy"], coordinate_mean, d),
        "mse": mean["error"],
        "mse_per_coordinate": mean["error"] / d,
        "cosine": mean["cosine"],
        "norm_in": mean["norm_in"],
        "norm_out": mean["norm_out"],
        "norm_ratio": mean["norm_ratio"],
        "relative_bias": bias,
        "l0": mean["l0"],
        "features_per_token": mean["features"],
        "l1": mean["l1"],
        "l1_saebench": mean["l1_signed"],
    }


def token_scores(name: str, label: str, tally: Tally, seed: int) -> list[Score]:
    """Scores of METRICS with intervals, and the explained variances that are means over batches, without.

    Raises
    ------
    UnweaveError
        if the activations do not vary.
    """
    weights = np.vstack([np.ones(len(tally.lengths)), resampling_weights(len(tally.lengths), seed)])
    ones = weights[:1]
    energies = tally.sums["energy"]
    if total_variance(ones, tally.lengths, energies, tally.row_sums)[0] <= 1e-12 * energies.sum():
        raise UnweaveError(f"{name}: all activations are equal: harvest it again or evaluate on another corpus")
    score = partial(Score, dataset=name, label=label, n=tally.n, seed=seed)
    scores = []
    for metric, values in token_statistics(tally, weights).items():
        unit, better = METRICS[metric]
        low, high = percentile_interval(values[1:])
        value = float(values[0])
        scores.append(score(metric=metric, value=value, unit=unit, higher_is_better=better, ci_low=low, ci_high=high))
    for library, values_of_batches in tally.batches.items():
        value = float(np.mean(values_of_batches))
        scores.append(score(metric=f"fve_{library}", value=value, unit="1", higher_is_better=True))
    return scores


def firing_scores(name: str, label: str, tally: Tally, seed: int) -> list[Score]:
    """How the firings are spread over features."""
    counts, n = tally.firings.cpu(), tally.n
    score = partial(Score, dataset=name, label=label, higher_is_better=None, seed=seed)
    of_features = partial(score, n=len(counts), unit="1")
    scores = [of_features(metric=metric, value=value) for metric, value in firing_shares(counts, n).items()]
    scores += [
        of_features(metric="density_histogram", value=value, x_name="log10 density", x=x)
        for x, value in zip(density_bins(n), density_shares(counts, n), strict=True)
    ]
    consistency = firings_per_document(counts, tally.documents_fired.cpu())
    if consistency is not None:
        scores.append(score(metric="firings_per_document", value=consistency, n=int((counts > 0).sum()), unit="tokens"))
    return scores


def direction_scores(dictionary: Dictionary, seed: int) -> list[Score]:
    """Angles among atoms and, of a linear dictionary, among readers and between the two; on no corpus.

    The mean of the largest cosine with another direction is SAEBench's; the largest |cosine|, with its quantiles, is
    for codes whose sign is arbitrary. Directions of one group are compared with each other too.
    """
    if dictionary.n_features < 2:
        return []
    score = partial(Score, dataset="", n=dictionary.n_features, unit="1", higher_is_better=None, seed=seed)
    scores = []
    for kind, directions in (("decoder", dictionary.atoms), ("encoder", dictionary.readers)):
        if directions is None:
            continue
        nearest = nearest_cosines(directions.detach().float())
        magnitudes = nearest.absolute.double().cpu().numpy()
        scores += [
            score(metric=f"{kind}_max_cosine", value=float(nearest.signed.double().mean())),
            score(metric=f"{kind}_max_abs_cosine", value=float(magnitudes.mean())),
        ]
        scores += [
            score(metric=f"{kind}_max_abs_cosine", value=float(np.quantile(magnitudes, q)), x_name="quantile", x=q)
            for q in QUANTILES
        ]
    readers = dictionary.readers
    if readers is not None and readers.shape == dictionary.atoms.shape:
        cosines = paired_cosines(readers.detach().float(), dictionary.atoms.detach().float())
        scores.append(score(metric="encoder_decoder_cosine", value=float(cosines.double().mean())))
    return scores


def model_scores(
    dictionary: Dictionary, data: EvaluationData, labels: Mapping[str, str], tokens: int, seed: int
) -> list[Score]:
    """Cross-entropy and KL of `patching` with all codes; `labels` says by corpus which positions are replaced."""
    settings = patching.Settings(k=[], tokens=tokens)
    scores = patching.evaluate(dictionary, data, settings, seed)
    return [
        # The only k is "all of them": a score like the others of this evaluation, not a point of a curve.
        score if score.label else replace(score, label=labels[score.dataset], x_name="", x=None)
        for score in scores
    ]


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Scores of every corpus, then of the directions, which depend on none.

    Raises
    ------
    UnweaveError
        if a corpus does not vary or lacks the site that the dictionary rebuilds, or zero ablation does not hurt the
        model.
    """
    scores: list[Score] = []
    labels: dict[str, str] = {}
    for name, corpus in data.corpora.items():
        target = target_of(dictionary, name, corpus)
        found = tallies(name, dictionary, corpus, target, settings.k, data.device)
        labels[name] = ALL_POSITIONS if ALL_POSITIONS in found else WITHOUT_FIRST
        for label, tally in found.items():
            scores += token_scores(name, label, tally, seed)
            scores += firing_scores(name, label, tally, seed)
    if settings.patched_tokens:
        scores += model_scores(dictionary, data, labels, settings.patched_tokens, seed)
    return scores + direction_scores(dictionary, seed)
