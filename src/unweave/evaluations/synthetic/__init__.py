"""Whether a method finds features that are known because they were planted.

The dictionary's own method is fitted, with its own settings but those that `method_settings` replaces, to activations
of planted worlds (see `world`); what it finds is compared with what was planted. The language model and its corpora
play no part, so one layer and one corpus are enough. The seed of the evaluation plants the worlds, the seed of the
dictionary starts the fits.

- `mcc_atoms`: mean |cosine| of atoms and features in their best one-to-one matching (SAELens; arXiv 2505.20254), for
  subspaces the root mean square cosine of their principal angles. Control: random directions. `mcc_readers`: the same
  of readers and the directions that read the features best.
- `uniqueness`: distinct best matches / units.
- `unit_precision`, `unit_recall`, `unit_f1`, `unit_accuracy`: firing of each unit against that of its most similar
  feature; dead units count 0. `feature_f1`: of each feature against its one-to-one partner, 0 without one.
- `capture`: share of each feature's subspace in the span of its partner, by dimension. Control: random directions.
- `splitting_ratio`: directions that carry 90 % of a feature / its dimension, `units_per_feature`: the same in units.
- `matched_rank`, of groups alone: dimensions that hold 90 % of what the partner of each feature can write (`decoder`)
  and of what it writes on these tokens (`written`), by dimension; under the label `planted` that dimension.
- `firing_entropy`: sum of the entropies of the firings of the units, in bits; under the label `planted` the entropy of
  what was planted.
- `fve`, `l0`, `features_per_token`, `norm_ratio` and `relative_bias` (both 1 without shrinkage) and `dead` as in
  `core`, on tokens that were not fitted.

Intervals resample features or units, those of `core` blocks of 100 tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredTokens
from unweave.config import Name, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.core import token_scores
from unweave.evaluations.core.firing import firing, firing_shares
from unweave.evaluations.core.tally import WITHOUT_FIRST, tallies
from unweave.evaluations.evaluation import EvaluationData, Refit
from unweave.evaluations.group_ranks import covariances, written_spectra
from unweave.evaluations.synthetic.recovery import Firings
from unweave.evaluations.synthetic.scores import Comparison
from unweave.evaluations.synthetic.settings import WorldSettings
from unweave.evaluations.synthetic.world import World
from unweave.methods.dictionary import Dictionary
from unweave.methods.sasa.ranks import MIN_TOKENS, CodeCovariance, decoder_spectra, rank90
from unweave.results.scores import Score

TRAIN, TEST = 0, 1
"""Streams of the two samples of a world."""
BLOCK_TOKENS = 100
BATCH_TOKENS = 4096
OF_CORE = ("fve", "l0", "features_per_token", "norm_ratio", "relative_bias")


class Settings(Strict):
    """Settings of the evaluation on planted worlds."""

    worlds: Annotated[dict[Name, WorldSettings], Field(min_length=1)] = Field(
        default={"sparse": WorldSettings()}, description="planted worlds by the name that stands for a data set"
    )
    tokens: Annotated[int, Field(ge=1000)] = Field(default=50_000, description="tokens that the method is fitted to")
    test_tokens: Annotated[int, Field(ge=1000)] = Field(default=20_000, description="tokens that it is measured on")
    method_settings: dict[str, Any] = Field(
        default={},
        description="settings of the method that are replaced, where it has them; `gate.k` is the setting k of gate",
    )


@dataclass
class _Planted:
    """A sample of a world as a corpus of documents of 100 tokens, without text."""

    activations: InMemoryActivations
    tokens: StoredTokens
    texts: Sequence[str]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    label_names: Sequence[str]

    @classmethod
    def of(cls, x: Tensor) -> "_Planted":
        rows = np.arange(len(x))
        nothing = np.empty(0)
        tokens = StoredTokens(np.zeros_like(rows), rows // BLOCK_TOKENS, 1 + rows % BLOCK_TOKENS)
        return cls(InMemoryActivations(x), tokens, [], nothing.astype(np.int64), nothing.astype(np.str_), [])


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:  # noqa: ARG001
    """Scores of the dictionary's method in every world.

    Raises
    ------
    UnweaveError
        if it is not known how the dictionary was fitted, or its method cannot be fitted to a world.
    """
    if data.refit is None:
        raise UnweaveError(
            "how the dictionary was fitted is not known, so that its method cannot be fitted to planted features: "
            "leave it out with `methods` of the evaluation"
        )
    return [score for name in settings.worlds for score in _world_scores(name, data, data.refit, settings, seed)]


def _world_scores(name: str, data: EvaluationData, refit: Refit, settings: Settings, seed: int) -> list[Score]:
    world = World.planted(settings.worlds[name], seed)
    # Evaluations run in inference mode, and a fit cannot learn from tensors that were made in it.
    with torch.inference_mode(False), torch.no_grad():
        train = InMemoryActivations(world.sample(settings.tokens, TRAIN).x)
    try:
        fitted = refit(train, settings.method_settings)
    except UnweaveError as error:
        raise UnweaveError(f"world {name}: {error}") from None
    if fitted.atoms.shape[1] != world.settings.d:
        raise UnweaveError(
            f"world {name}: its activations have {world.settings.d} dimensions, and the method made a dictionary of "
            f"{fitted.atoms.shape[1]}: leave it out with `methods` of the evaluation"
        )
    test = world.sample(settings.test_tokens, TEST)
    k = max(1, round(world.settings.active))
    firings = firings_of(fitted, test.x, test.fires, k, data.device)
    ranks = ranks_of(fitted, test.x, data.device)
    return [
        *_core_scores(name, fitted, test.x, k, data.device, seed),
        *Comparison(name, world, fitted, firings, ranks, torch.cov(test.x.T.double()), seed).scores(),
    ]


def _core_scores(
    name: str, dictionary: Dictionary, x: Tensor, k: int, device: torch.device, seed: int
) -> Iterator[Score]:
    corpus = _Planted.of(x)
    tally = tallies(name, dictionary, corpus, corpus.activations, k, device)[WITHOUT_FIRST]
    for score in token_scores(name, "", tally, seed):
        if score.metric in OF_CORE:
            yield score
    dead = firing_shares(tally.firings.cpu(), tally.n)["dead"]
    units = len(tally.firings)
    yield Score(metric="dead", value=dead, dataset=name, n=units, unit="1", higher_is_better=False, seed=seed)


def firings_of(dictionary: Dictionary, x: Tensor, fires: Tensor, k: int, device: torch.device) -> Firings:
    """Count where units and features fire on tokens x (n, d) with planted `fires` (n, N)."""
    units = dictionary.n_features // dictionary.traits.group_size
    counts = Firings(units, fires.shape[1], dictionary.n_features)
    for rows, truth in zip(torch.split(x, BATCH_TOKENS), torch.split(fires, BATCH_TOKENS), strict=True):
        codes = dictionary.encode(rows.to(device))
        counts.add(firing(dictionary, codes, k), truth.to(device), codes)
    return counts


def ranks_of(dictionary: Dictionary, x: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Dimensions (U,) of what each group can write, and of what it writes on x (n, d); nothing without groups.

    A group that is active on fewer than ten tokens writes 0 dimensions.
    """
    size = dictionary.traits.group_size
    if size == 1:
        return {}
    blocks = dictionary.atoms.double().reshape(-1, size, dictionary.atoms.shape[1])
    seen = CodeCovariance.empty(len(blocks), size, device)
    for rows in torch.split(x, BATCH_TOKENS):
        seen.add(dictionary.encode(rows.to(device)))
    alive = seen.counts >= MIN_TOKENS
    written = torch.zeros(len(blocks), dtype=torch.int64, device=device)
    written[alive] = rank90(written_spectra(covariances(seen, alive), blocks[alive]))
    return {"decoder": rank90(decoder_spectra(blocks)).cpu(), "written": written.cpu()}
