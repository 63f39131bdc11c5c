"""Whether a feature's direction is found again in new text about its concept (Semi-NMF, Section 4.1; arXiv 2506.10920).

A feature's concept is, without a paid describer, the set of token strings on which it is strongest in the first corpus.
In the second corpus, which no feature was labelled on, windows with one of these strings are activating and as many
windows without are neutral. A window scores the largest cosine of its activations with the feature's atom, and

    S_CD = log(mean score of activating windows / mean score of neutral windows),

with both means at least 0.001, as cosines can be negative: `clipped` is the share of features that this touches.
`auroc` and `delta` (difference of the means) need no logarithm. Each sign of a signed code is a feature.

Controls: concepts of other features (`shuffled concepts`), random sparse directions with concepts of their own (`random
sparse directions`) and the atom's largest coordinate alone (`largest coordinate`). The paper asks a language model for
descriptions and sentences instead; a randomly initialised model as a further control needs activations of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_tokenizer
from unweave.models.token_strings import token_strings
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONTEXTS = 25
"""Tokens on which a feature is strongest, which make its concept."""
MASS, MOST_STRINGS = 0.8, 10
"""Strings of a concept: the heaviest, up to this share of the strength of those tokens."""
FLOOR = 1e-3
FEWEST = 5
"""Activating windows that a feature needs to be scored."""
SPARSITY = 0.01
"""Share of the coordinates that a random sparse direction has."""
METRICS = {"s_cd": "nats", "auroc": "1", "delta": "cosine"}


class Settings(Strict):
    """Settings of concept detection; it needs two corpora: where concepts are named, and where they are looked for."""

    features: Annotated[int, Field(ge=10)] = Field(default=100, description="features that are drawn and scored")
    named_on: Annotated[int, Field(ge=1)] = Field(default=20_000, description="tokens of the first corpus")
    window: Annotated[int, Field(ge=2)] = Field(default=16, description="tokens of a window")


# --- pure ------------------------------------------------------------------------------------------------------------


def concept(strengths: Floats, strings: NDArray[np.str_]) -> list[str]:
    """Strings that carry most of the strength (T,) of the CONTEXTS strongest of T tokens, whose strings are (T,)."""
    top = np.argsort(-strengths, kind="stable")[:CONTEXTS]
    top = top[strengths[top] > 0]
    mass: dict[str, float] = {}
    for index in top.tolist():
        mass[str(strings[index])] = mass.get(str(strings[index]), 0.0) + float(strengths[index])
    heaviest = sorted(mass.items(), key=lambda pair: (-pair[1], pair[0]))
    kept, total = [], sum(mass.values())
    covered = 0.0
    for string, part in heaviest[:MOST_STRINGS]:
        if covered >= MASS * total:
            break
        kept.append(string)
        covered += part
    return kept


def windows_of(docs: Integers, size: int) -> Integers:
    """Find the number (n,) of each row's window: `size` consecutive rows of one document, the last one shorter."""
    starts = np.flatnonzero(np.diff(docs, prepend=docs[0] - 1))
    offsets = np.arange(len(docs)) - np.repeat(starts, np.diff(np.append(starts, len(docs))))
    return np.cumsum((offsets % size) == 0) - 1


def window_maxima(cosines: Tensor, windows: Integers) -> Floats:
    """Largest of the `cosines` (n, F) in every window (W, F)."""
    found = torch.full((int(windows.max()) + 1, cosines.shape[1]), -1.0)
    index = torch.from_numpy(windows)[:, None].expand(-1, cosines.shape[1])
    maxima: Floats = found.scatter_reduce_(0, index, cosines.cpu(), "amax").double().numpy()
    return maxima


@dataclass(frozen=True)
class Detection:
    """Scores of one feature."""

    s_cd: float
    auroc: float
    delta: float
    clipped: bool


def detection(activating: Floats, neutral: Floats) -> Detection:
    """Compare the scores of activating and of neutral windows."""
    means = activating.mean(), neutral.mean()
    above = (activating[:, None] > neutral).mean() + 0.5 * (activating[:, None] == neutral).mean()
    high, low = (max(float(mean), FLOOR) for mean in means)
    return Detection(float(np.log(high / low)), float(above), float(means[0] - means[1]), min(means) < FLOOR)


# --- one dictionary --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeldOut:
    """The corpus that concepts are looked for in."""

    x: Tensor
    """(n, d) activations of unit length"""
    strings: NDArray[np.str_]
    """(n,)"""
    windows: Integers
    """(n,)"""

    def score(
        self, directions: Tensor, concepts: Sequence[Sequence[str]], rng: np.random.Generator
    ) -> list[Detection | None]:
        """Detect each direction (F, d) by its concept; None where too few windows hold it."""
        maxima = window_maxima(self.x @ normalize(directions).T, self.windows)
        found: list[Detection | None] = []
        for column, strings in enumerate(concepts):
            holds = np.zeros(len(maxima), dtype=bool)
            holds[self.windows[np.isin(self.strings, list(strings))]] = True
            if holds.sum() < FEWEST or (~holds).sum() < FEWEST:
                found.append(None)
                continue
            without = np.flatnonzero(~holds)
            neutral = rng.permutation(without)[: holds.sum()]
            found.append(detection(maxima[holds, column], maxima[neutral, column]))
        return found


def random_sparse(count: int, d: int, rng: np.random.Generator) -> Tensor:
    """Directions (count, d) of a few Gaussian coordinates."""
    directions = rng.standard_normal((count, d))
    kept = max(1, round(SPARSITY * d))
    for row in directions:
        row[rng.permutation(d)[kept:]] = 0
    return torch.from_numpy(directions).float()


def largest_coordinate(atoms: Tensor) -> Tensor:
    """Keep the coordinate of largest magnitude of each atom (F, d)."""
    place = atoms.abs().argmax(dim=1, keepdim=True)
    return torch.zeros_like(atoms).scatter_(1, place, atoms.gather(1, place))


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """S_CD, AUROC and difference of means over features, with their controls.

    Raises
    ------
    UnweaveError
        unless there are two corpora, or if the dictionary rebuilds another site, or no feature can be scored.
    """
    if len(data.corpora) != 2:
        raise UnweaveError(f"needs two corpora, one to name concepts and one to detect them, got {len(data.corpora)}")
    if dictionary.traits.writes is not None:
        raise UnweaveError("concept detection compares activations with atoms of the same site: leave transcoders out")
    (_, first), (name, second) = data.corpora.items()
    rng = np.random.default_rng(seed)
    tokenizer = load_tokenizer(data.model_folder)
    (named,) = first.activations.slices([(0, min(first.activations.n, settings.named_on))])
    named = named.to(data.device)
    codes = dictionary.encode(named)
    atoms = dictionary.atoms
    if dictionary.traits.signed:
        codes, atoms = split_signs(codes), torch.cat([atoms, -atoms])
    alive = np.flatnonzero((codes > 0).any(dim=0).cpu().numpy())
    drawn = np.sort(rng.permutation(alive)[: settings.features])
    if not len(drawn):
        raise UnweaveError("no feature fires in the first corpus: use more tokens (`named_on`)")
    named_strings = np.char.lower(token_strings(first.tokens.ids[: len(named)], tokenizer))
    strengths = codes[:, torch.from_numpy(drawn).to(codes.device)].double().cpu().numpy()
    concepts = [concept(column, named_strings) for column in strengths.T]

    held_out = HeldOut(
        normalize(torch.cat(list(second.activations.blocks())).to(data.device)),
        np.char.lower(token_strings(second.tokens.ids, tokenizer)),
        windows_of(second.tokens.docs.astype(np.int64), settings.window),
    )
    chosen = atoms[torch.from_numpy(drawn).to(atoms.device)]
    sparse = random_sparse(len(drawn), chosen.shape[1], rng).to(chosen)
    of_sparse = (normalize(named) @ normalize(sparse).T).clamp_min(0).double().cpu().numpy()
    sparse_concepts = [concept(column, named_strings) for column in of_sparse.T]
    shifted = [concepts[i - 1] for i in range(len(concepts))]
    arms = {
        "": (chosen, concepts),
        "shuffled concepts": (chosen, shifted),
        "random sparse directions": (sparse, sparse_concepts),
        "largest coordinate": (largest_coordinate(chosen), concepts),
    }
    scores: list[Score] = []
    for label, (directions, of_directions) in arms.items():
        found = [d for d in held_out.score(directions, of_directions, rng) if d is not None]
        if len(found) < 2:
            if label:
                continue
            raise UnweaveError(f"{name}: concepts of fewer than two features occur in it: use more text")
        scores += _scores(name, label, found, seed)
    return scores


def _scores(name: str, label: str, found: Sequence[Detection], seed: int) -> list[Score]:
    score = partial(mean_score, seed=seed, dataset=name, label=label)
    values = {metric: np.array([getattr(one, metric) for one in found]) for metric in METRICS}
    scores = [score(metric, values[metric], unit=unit, better=True) for metric, unit in METRICS.items()]
    scores.append(score("positive_s_cd", values["s_cd"] > 0, better=True))
    clipped = float(np.mean([one.clipped for one in found]))
    scores.append(
        Score(
            metric="clipped",
            value=clipped,
            dataset=name,
            n=len(found),
            unit="1",
            higher_is_better=None,
            label=label,
            seed=seed,
        )
    )
    return scores
