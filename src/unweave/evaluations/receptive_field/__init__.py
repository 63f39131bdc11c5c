"""Effective receptive field: how much text a feature needs (ICA Lens, Section 5 and Appendix; arXiv 2606.11722).

For the tokens on which a feature is strongest, the text before the token is cut to 1, 2, ..., 10, 20, 40 tokens and the
model reads what is left. The suffix field is the shortest text with which the feature is among the `top` strongest of
the token; a feature's is the mean over its occurrences. As the paper's first version has it, all occurrences count, and
those that ten tokens do not recover as 11 (`capped`). As its second has it, only those count that are among
the `top` with all their text, and a length beyond 10 is the geometric mean of the last that failed and the first that
did not; `recovered_share` is the share of these that the longest cut recovers.

The gradient field is exp(sum p_i log d_i), a geometric mean of distances weighted by squared gradients of the strength
with respect to the embeddings: it sees influence where cutting sees need. A feature's is the median over occurrences.

The token that the model reads first is a sink with activations unlike all others; a text cut to one token is all sink,
and a field of 1 there says little. So the document's first token is put before what is left (`kept first`, our arm) or
not (`bare`; the paper's models have a token of their own for that).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Site, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.receptive_field.fields import (
    gradient_field,
    last_activations,
    ranks_of,
    suffix_field,
)
from unweave.evaluations.receptive_field.occurrences import Occurrence, occurrence, strongest_rows
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LENGTHS = (*range(1, 11), 20, 40)
CAP = 11
ARMS = {"kept first": True, "bare": False}


class Settings(Strict):
    """Settings of the receptive field."""

    features: Annotated[int, Field(ge=2)] = Field(default=30, description="features that are drawn")
    occurrences: Annotated[int, Field(ge=1)] = Field(default=3, description="of each feature: distinct tokens")
    top: list[Annotated[int, Field(ge=1)]] = Field(
        default=[1, 5, 15], description="ranks at which a feature counts as recovered"
    )
    gradients: Annotated[int, Field(ge=0)] = Field(default=2, description="occurrences whose gradient is taken")


def cut(ids: Tensor, length: int, *, keep_first: bool) -> Tensor:
    """Last `length` of the tokens (T,), after the first one where it is kept and not among them."""
    tail = ids[-length:]
    return torch.cat([ids[:1], tail]) if keep_first and len(tail) < len(ids) else tail


def strengths_of(dictionary: Dictionary, x: Tensor) -> Tensor:
    """Strengths of the features of x (n, d): codes with each sign a feature, or norms of groups."""
    codes = dictionary.encode(x)
    if dictionary.traits.group_size > 1:
        return dictionary.strengths(codes)
    return split_signs(codes) if dictionary.traits.signed else codes


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Suffix fields by rank and arm, and gradient fields, over features.

    Raises
    ------
    UnweaveError
        if fewer than two features fire in the corpus.
    """
    model = load_language_model(data.model_folder, torch.float32, data.device)
    point = HookPoint(cast(Site, data.site), data.layer)
    strengths = partial(strengths_of, dictionary)
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        x = torch.cat(list(corpus.activations.blocks())).to(data.device)
        found = strengths(x)
        alive = np.flatnonzero((found > 0).any(dim=0).cpu().numpy())
        drawn = np.sort(np.random.default_rng(seed).permutation(alive)[: settings.features])
        if len(drawn) < 2:
            raise UnweaveError(f"{name}: fewer than two features fire in it: use more text")
        chosen = found[:, torch.from_numpy(drawn).to(found.device)]
        rows = strongest_rows(chosen, corpus.tokens.ids.astype(np.int64), settings.occurrences)
        occurrences = [
            occurrence(name, corpus, model.tokenizer, int(feature), row, max(LENGTHS) + 1)
            for feature, of_feature in zip(drawn, rows, strict=True)
            for row in of_feature.tolist()
        ]
        features = torch.tensor([o.feature for o in occurrences], device=found.device)
        full = ranks_of(found[torch.from_numpy(np.concatenate(rows)).to(found.device)], features)
        for arm, keep_first in ARMS.items():
            ranks = []
            for length in LENGTHS:
                texts = [cut(o.ids, length, keep_first=keep_first) for o in occurrences]
                ranks.append(ranks_of(strengths(last_activations(model.model, point, texts)), features))
            for top in settings.top:
                scores += _suffix_scores(name, arm, top, occurrences, full, np.array(ranks).T, seed)
        gradients = _gradients(occurrences, settings.gradients, partial(gradient_field, model.model, point, strengths))
        if len(gradients) > 1:
            scores.append(mean_score("gradient_field", gradients, seed=seed, unit="tokens", dataset=name))
    return scores


def _gradients(occurrences: Sequence[Occurrence], count: int, field: Callable[[Tensor, int], float | None]) -> Floats:
    """Median over the first `count` occurrences of every feature that has a gradient."""
    by_feature: dict[int, list[Tensor]] = {}
    for o in occurrences:
        by_feature.setdefault(o.feature, []).append(o.ids)
    medians = []
    for feature, texts in by_feature.items():
        values = [value for ids in texts[:count] if (value := field(ids, feature)) is not None]
        if values:
            medians.append(np.median(values))
    return np.array(medians)


def _suffix_scores(
    name: str, arm: str, top: int, occurrences: Sequence[Occurrence], full: Integers, ranks: Integers, seed: int
) -> list[Score]:
    """From the ranks with all the text (m,) and with each of LENGTHS (m, lengths)."""
    capped: dict[int, list[float]] = {}
    within: dict[int, list[float | None]] = {}
    for o, full_rank, of_lengths in zip(occurrences, full.tolist(), ranks.tolist(), strict=True):
        first = next((n for rank, n in zip(of_lengths, LENGTHS, strict=True) if rank <= top), CAP)
        capped.setdefault(o.feature, []).append(min(first, CAP))
        if full_rank <= top:
            within.setdefault(o.feature, []).append(suffix_field(of_lengths, LENGTHS, top))
    values = np.array([np.mean(fields) for fields in capped.values()])
    by_metric = {"suffix_field_capped": values, "local_share": values <= 1}
    shares = [np.mean([field is not None for field in fields]) for fields in within.values()]
    recovered = [np.mean(kept) for fields in within.values() if (kept := [f for f in fields if f is not None])]
    by_metric |= {"recovered_share": np.array(shares), "suffix_field_recovered": np.array(recovered)}
    return [
        mean_score(
            metric,
            of_features,
            seed=seed,
            unit="1" if metric.endswith("share") else "tokens",
            dataset=name,
            label=arm,
            x_name="rank",
            x=top,
        )
        for metric, of_features in by_metric.items()
        if len(of_features) > 1
    ]
