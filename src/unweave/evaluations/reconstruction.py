"""How well the k strongest codes of each token rebuild its activation (ICA Lens, sparse reconstruction).

Definitions, x the activation and y its reconstruction: FVE = 1 - sum ||x - y||^2 / sum ||x - mean(x)||^2 in float64;
cosine is cos(x, y) per token; NMSE is ||x - y||^2 / ||x||^2 per token, as the authors' code has it. Their documentation
describes the NMSE against a mean baseline instead: that one is 1 - FVE.
"""

from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.intervals import percentile_interval, ratio_interval, resampling_weights
from unweave.evaluations.sparse_codes import sparse_reconstructions, sparsities
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

NORM_FLOOR = 1e-12
SPREAD = {"p10": 0.1, "median": 0.5, "p90": 0.9}

Floats = NDArray[np.float64]


class Settings(Strict):
    """Settings of the reconstruction evaluation."""

    k: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0, 1, 3, 10, 30, 100, 300],
        description="codes kept per token; 0 is the center alone; all codes are always measured too",
    )


class _Measurements:
    """Per-token measurements of one corpus at K sparsities, and the sums behind its total variance."""

    def __init__(self, dictionary: Dictionary, corpus: Corpus, ks: list[int], device: torch.device) -> None:
        n, d = corpus.activations.n, corpus.activations.d
        self.documents = Documents.of(corpus.tokens.docs)
        self.errors: Floats = np.empty((len(ks), n))
        self.cosine: Floats = np.empty((len(ks), n))
        self.l0: Floats = np.empty((len(ks), n))
        self.energies: Floats = np.empty(n)
        document_of_row = torch.from_numpy(self.documents.of_row)
        row_sums = torch.zeros(len(self.documents.indices), d, dtype=torch.float64)
        start = 0
        for block in corpus.activations.blocks():
            rows = slice(start, start + len(block))
            start += len(block)
            wide = block.double()
            self.energies[rows] = wide.square().sum(dim=1).numpy()
            row_sums.index_add_(0, document_of_row[rows], wide)
            x = block.to(device)
            for i, (kept, y) in enumerate(sparse_reconstructions(dictionary, x, ks)):
                self.errors[i, rows] = (x - y).square().sum(dim=1, dtype=torch.float64).cpu().numpy()
                norms = (x.norm(dim=1) * y.norm(dim=1)).clamp_min(NORM_FLOOR)
                self.cosine[i, rows] = ((x * y).sum(dim=1) / norms).cpu().numpy()
                self.l0[i, rows] = kept.count_nonzero(dim=1).cpu().numpy()
        self.row_sums: Floats = row_sums.numpy()
        self.nmse: Floats = self.errors / np.maximum(self.energies, NORM_FLOOR)

    def total_variance(self, weights: Floats) -> Floats:
        """Sum of ||x - mean(x)||^2 (draws,) over documents taken with `weights` (draws, D)."""
        mean_part = np.square(weights @ self.row_sums).sum(axis=1) / (weights @ self.documents.lengths)
        variance: Floats = weights @ self.documents.sums(self.energies) - mean_part
        return variance


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """FVE, cosine, NMSE and L0 against k, for every corpus.

    Raises
    ------
    UnweaveError
        if a corpus does not vary.
    """
    ks = sparsities(settings.k, dictionary.n_features)
    return [
        score
        for name, corpus in data.corpora.items()
        for score in _scores(name, _Measurements(dictionary, corpus, ks, data.device), ks, seed)
    ]


def _scores(name: str, measured: _Measurements, ks: list[int], seed: int) -> list[Score]:
    documents = measured.documents
    weights = resampling_weights(len(documents.indices), seed)
    total = float(measured.total_variance(np.ones((1, len(documents.indices))))[0])
    if total <= 1e-12 * measured.energies.sum():
        raise UnweaveError(f"{name}: all activations are equal: harvest it again or evaluate on another corpus")
    resampled_total = measured.total_variance(weights)
    score = partial(Score, dataset=name, n=len(documents.of_row), x_name="k", seed=seed)
    scores = []
    for i, k in enumerate(ks):
        errors = documents.sums(measured.errors[i])
        low, high = percentile_interval(1 - (weights @ errors) / resampled_total)
        fve = float(1 - errors.sum() / total)
        scores.append(score(metric="fve", value=fve, unit="1", higher_is_better=True, ci_low=low, ci_high=high, x=k))
        for metric, values, unit, better in (
            ("cosine", measured.cosine[i], "1", True),
            ("nmse", measured.nmse[i], "1", False),
            ("l0", measured.l0[i], "features", None),
        ):
            low, high = ratio_interval(documents.sums(values), documents.lengths, weights)
            mean = float(values.mean())
            scores.append(
                score(metric=metric, value=mean, unit=unit, higher_is_better=better, ci_low=low, ci_high=high, x=k)
            )
            if metric != "l0":
                scores += [
                    score(
                        metric=f"{metric}_{suffix}",
                        value=float(np.quantile(values, q)),
                        unit=unit,
                        higher_is_better=better,
                        x=k,
                    )
                    for suffix, q in SPREAD.items()
                ]
    return scores
