"""Reconstruction at equal budgets: active codes, all codes and tokens of training (Subspace-Aware SAE, Table 1).

The paper compares groups with single codes at different numbers of codes and of training tokens. Here the dictionary's
own method is fitted again to the first corpus at every budget, and measured on the last one. `settings` of a budget
and `method_settings` say what a budget means for a method: 16 active codes are `active_groups: 4` with groups of four
and `gate.k: 16` without groups; settings that a method lacks do nothing.

- `fve`, `cosine` and `l0` as in `core`, by `x` active codes, and by `x` tokens at the budget in the middle.
- `support_bits`: log2 of the number of ways to choose the features that fire on a token: what saying which ones costs.
  Groups fire together, so that their choice is cheaper at equal `l0`; the precision of codes comes on top.

Control `principal directions`: as many directions as a token has active codes, the same ones for all tokens.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.core import token_scores
from unweave.evaluations.core.tally import WITHOUT_FIRST, tallies
from unweave.evaluations.evaluation import Corpus, EvaluationData, target_of
from unweave.methods.dictionary import Dictionary
from unweave.methods.linear import LinearDictionary
from unweave.results.scores import Score

CONTROL = "principal directions"
OF_CORE = ("fve", "cosine", "l0")


class Budget(Strict):
    """Active codes of a token, and what makes a method have them."""

    active: Annotated[int, Field(ge=1)] = Field(description="codes that are active on a token")
    settings: dict[str, Any] = Field(description="of the method that are replaced, where it has them")


def _budget(active: int) -> Budget:
    return Budget(active=active, settings={"active_groups": active // 4, "gate.k": active})


class Settings(Strict):
    """Settings of matched budgets; it takes the corpus that the dictionary was fitted to and one to measure on."""

    budgets: Annotated[list[Budget], Field(min_length=1)] = Field(
        default=[_budget(8), _budget(16), _budget(32)], description="in ascending order of active codes"
    )
    tokens: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
        default=[15_000, 30_000, 60_000], description="of training; the last is that of the curve over active codes"
    )
    method_settings: dict[str, Any] = Field(
        default={"groups": 128, "group_size": 4, "n_features": 512, "batch_size": 256},
        description="of the method that are replaced at every budget, where it has them",
    )


def log2_choices(units: int, fired: float) -> float:
    """Log2 of the ways to choose `fired` of `units`, which need not be a whole number."""
    fired = min(max(fired, 0.0), float(units))
    nats = math.lgamma(units + 1) - math.lgamma(fired + 1) - math.lgamma(units - fired + 1)
    return max(0.0, nats / math.log(2))


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Scores at every budget.

    Raises
    ------
    UnweaveError
        unless there are two corpora, or if it is not known how the dictionary was fitted, its codes are dense or its
        method cannot be fitted at a budget.
    """
    if len(data.corpora) != 2:
        raise UnweaveError(f"needs two corpora, one to fit and one to measure on, got {len(data.corpora)}")
    if dictionary.traits.firing == "dense":
        raise UnweaveError(
            "codes are dense, so that there is no budget to fit to: `reconstruction` keeps the strongest"
        )
    if data.refit is None:
        raise UnweaveError("matched budgets fit the method again, and how this dictionary was fitted is not recorded")
    (fitted_on, fit_corpus), (name, corpus) = data.corpora.items()
    most, middle = max(settings.tokens), settings.budgets[len(settings.budgets) // 2]
    points = [("active codes", budget.active, budget, most) for budget in settings.budgets]
    points += [("training tokens", tokens, middle, tokens) for tokens in settings.tokens if tokens != most]
    scores: list[Score] = []
    for x_name, x, budget, tokens in points:
        replaced = settings.method_settings | budget.settings | {"tokens": tokens}
        try:
            again = data.refit(fit_corpus.activations, replaced)
        except UnweaveError as error:
            raise UnweaveError(f"{fitted_on}, {budget.active} active codes: {error}") from None
        measured = list(_measured(name, corpus, again, "", data.device, seed))
        scores += [replace(score, x_name=x_name, x=float(x)) for score in measured]
        if budget is middle and tokens == most:
            scores += [replace(score, x_name="training tokens", x=float(most)) for score in measured]
    return scores + _principal_scores(dictionary, data, settings, seed)


def _measured(
    name: str, corpus: Corpus, dictionary: Dictionary, label: str, device: torch.device, seed: int
) -> Iterator[Score]:
    target = target_of(dictionary, name, corpus)
    tally = tallies(name, dictionary, corpus, target, dictionary.n_features, device)[WITHOUT_FIRST]
    of_core = token_scores(name, label, tally, seed)
    yield from (score for score in of_core if score.metric in OF_CORE)
    if dictionary.traits.firing == "nonzero":
        fired = float(tally.sums["features"].sum()) / tally.n
        bits = log2_choices(len(tally.firings), fired)
        yield Score(
            metric="support_bits",
            value=bits,
            dataset=name,
            n=tally.n,
            unit="bits",
            higher_is_better=False,
            label=label,
            seed=seed,
        )


def _principal_scores(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """None for a transcoder: directions of what it reads rebuild nothing of what it writes."""
    if dictionary.traits.writes is not None:
        return []
    (_, fit_corpus), (name, corpus) = data.corpora.items()
    statistics = fit_corpus.activations.statistics(row_norm=False)
    directions = torch.from_numpy(np.linalg.eigh(statistics.covariance)[1].T[::-1].copy())
    center = torch.from_numpy(statistics.mean)
    scores: list[Score] = []
    for budget in settings.budgets:
        kept = directions[: budget.active]
        first = LinearDictionary.build(center, kept, kept).to(data.device)
        measured = _measured(name, corpus, first, CONTROL, data.device, seed)
        scores += [replace(score, x_name="active codes", x=float(budget.active)) for score in measured]
    return scores
