"""How many dimensions features use, and whether groups adapt theirs (Subspace-Aware SAE, rank analysis).

A feature is a group of codes; where there are no groups it is a single code and has rank 1. Three spectra of a group:

- `decoder`: squared singular values of its atoms. The published analysis; it depends on the basis of the group.
- `codes`: covariance of its codes over the tokens on which it fires. Depends on the basis too.
- `written`: covariance of what it writes, codes @ atoms, over these tokens. No change of basis alters it.

Of each spectrum `rank90` (values that hold 90 % of the sum), `stable_rank` and `participation_ratio`, as means over the
groups that fire on ten tokens or more; `rank_share` is the distribution of rank90. The control `isotropic` has codes
without any structure, on as many tokens: the rank that a group of this size and frequency can show at most. Intervals
resample groups.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.core.firing import firing
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.methods.sasa.nuclear import gram
from unweave.methods.sasa.ranks import CodeCovariance, decoder_spectra, participation_ratio, rank90, stable_rank
from unweave.results.scores import Score

ISOTROPIC = "isotropic"
FIRES_IN_DENSE = 32
"""Of a dictionary whose codes are never zero, the features of largest strength that fire on a token."""


class Settings(Strict):
    """Settings of group ranks; it takes all tokens of its corpora."""


def covariances(seen: CodeCovariance, alive: Tensor) -> Tensor:
    """Covariance (k, r, r) of the codes of the `alive` (K,) groups."""
    counts = seen.counts[alive, None, None]
    means = seen.sums[alive][:, :, None] / counts
    found: Tensor = seen.products[alive] / counts - means @ means.mT
    return found


def written_spectra(covariance: Tensor, blocks: Tensor) -> Tensor:
    """Find the r eigenvalues (k, r) of the covariance of codes @ atoms that need not be zero.

    From covariances of codes (k, r, r) and atoms (k, r, d): those of root(C) G root(C), with G the inner products.
    """
    values, vectors = torch.linalg.eigh(covariance)
    roots = vectors * values.clamp_min(0).sqrt()[:, None, :]
    eigenvalues: Tensor = torch.linalg.eigvalsh(roots.mT @ gram(blocks) @ roots)
    return eigenvalues.clamp_min(0)


def isotropic_spectra(counts: Tensor, size: int, seed: int) -> Tensor:
    """Eigenvalues (k, r) of the covariance of as many Gaussian codes as `counts` (k,) says."""
    rng = np.random.default_rng(seed)
    drawn = [np.cov(rng.standard_normal((int(n), size)), rowvar=False).reshape(size, size) for n in counts]
    spectra: Tensor = torch.linalg.eigvalsh(torch.from_numpy(np.array(drawn))).clamp_min(0)
    return spectra


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:  # noqa: ARG001
    """Ranks of the groups on each corpus, with the isotropic control.

    Raises
    ------
    UnweaveError
        if fewer than two groups fire often enough.
    """
    size = dictionary.traits.group_size
    atoms = dictionary.atoms.double()
    blocks = atoms.reshape(-1, size, atoms.shape[1])
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        seen = CodeCovariance.empty(len(blocks), size, data.device)
        for block in corpus.activations.blocks():
            values = dictionary.encode(block.to(data.device))
            fires = firing(dictionary, values, FIRES_IN_DENSE)
            seen.add(values * fires.repeat_interleave(size, dim=1))
        codes, alive = seen.spectra()
        if int(alive.sum()) < 2:
            raise UnweaveError(f"{name}: fewer than two features fire on ten tokens: use more text")
        spectra = {
            "decoder": decoder_spectra(blocks[alive]),
            "codes": codes,
            "written": written_spectra(covariances(seen, alive), blocks[alive]),
            ISOTROPIC: isotropic_spectra(seen.counts[alive].cpu(), size, seed),
        }
        scores.append(
            Score(
                metric="alive_groups",
                value=float(alive.double().mean()),
                dataset=name,
                n=len(alive),
                unit="1",
                higher_is_better=True,
                seed=seed,
            )
        )
        for label, spectrum in spectra.items():
            scores += _scores(name, label, spectrum.cpu(), size, seed)
    return scores


def _scores(name: str, label: str, spectra: Tensor, size: int, seed: int) -> list[Score]:
    score = partial(mean_score, seed=seed, dataset=name, label=label)
    ranks = rank90(spectra)
    in_dimensions = {
        "rank90": ranks,
        "stable_rank": stable_rank(spectra),
        "participation_ratio": participation_ratio(spectra),
    }
    return [
        *(score(metric, values.numpy(), unit="dimensions") for metric, values in in_dimensions.items()),
        *(score("rank_share", (ranks == rank).numpy(), x_name="rank", x=rank) for rank in range(1, size + 1)),
    ]
