"""What the data files of one dictionary hold.

table          one column per measure, one row per feature that is shown
contexts-{i}   of SHARD features: contexts, histogram, logit lens, and what its kind of dictionary adds
tokens-{i}     of TEXTS_PER_SHARD texts: the features that contribute most to each token
tree           concept trees, where features have levels
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unweave.explorer import features, groups
from unweave.explorer.concept_tree import trees
from unweave.explorer.data_files import rounded
from unweave.explorer.explored import Explored
from unweave.methods.bae.entropy import channel_entropies, chow_liu_entropy
from unweave.methods.snmf_hierarchy import FeatureTree

SHARD = 100
TEXTS_PER_SHARD = 20
FEATURES_OF_TOKEN = 8
LABEL_TOKENS = 8
"""Tokens on which a feature is strongest that the search looks at; the list shows the first of them."""
PROMOTED = 3
"""Tokens of the logit lens that the search looks at."""
NEURONS = 10

Spoken = list[tuple[str, float]]
"""Tokens and their logits."""


def pages_of(explored: Explored, most: int, site: str, spoken: Sequence[tuple[Spoken, Spoken]]) -> dict[str, Any]:
    """Content of every data file by its name, with at most so many contexts of each sign.

    `spoken` (k,) are the tokens that each shown feature raises and lowers most, if there is a logit lens at its `site`.
    """
    contexts = features.contexts(explored.activations, explored.texts, most)
    columns = explored.activations.cpu().numpy()
    details = []
    for i, (feature, found) in enumerate(zip(explored.shown.tolist(), contexts, strict=True)):
        bars = features.histogram(columns[:, i])
        detail: dict[str, Any] = {
            "positive": [_context(one) for one in found[0]],
            "negative": [_context(one) for one in found[1]],
            "histogram": [rounded(bars.low), rounded(bars.high), bars.counts],
        }
        if spoken:
            detail["lens"] = [[[token, rounded(logit)] for token, logit in side] for side in spoken[i]]
        if explored.dictionary.traits.group_size > 1:
            detail["group"] = _group(explored, feature)
        if site == "mlp_neurons":
            detail["neurons"] = _neurons(explored.directions[i])
        details.append(detail)
    labels = [features.label_tokens(found, explored.texts, LABEL_TOKENS) for found in contexts]
    promoted = [[token.strip() for token, _ in top[:PROMOTED]] for top, _ in spoken]
    content: dict[str, Any] = {"table": _table(explored, labels, promoted)}
    for number, start in enumerate(range(0, len(details), SHARD)):
        content[f"contexts-{number}"] = details[start : start + SHARD]
    content |= _tokens(explored)
    if isinstance(explored.dictionary, FeatureTree):
        strings = np.array([explored.texts.pieces[place].strip() for place in explored.texts.places])
        content["tree"] = trees(explored.dictionary, explored.codes, strings)
    return content


def _context(one: features.Context) -> list[Any]:
    return [one.text, one.first, one.peak, rounded(one.value), one.codes]


def _group(explored: Explored, feature: int) -> dict[str, Any]:
    found = groups.scatter(explored.written(feature))
    texts = explored.texts
    places = texts.places[explored.rows_of(feature)].tolist()
    numbers = [texts.text_at(one) for one in places]
    where = [[text, one - int(texts.starts[text])] for text, one in zip(numbers, places, strict=True)]
    points = [[rounded(value) for value in point] for point in found.points.tolist()]
    return {
        "points": [[*point, *at] for point, at in zip(points, where, strict=True)],
        "shares": [rounded(share) for share in found.shares],
    }


def _neurons(direction: Tensor) -> list[list[float]]:
    largest = direction.abs().topk(min(NEURONS, len(direction))).indices.tolist()
    return [[neuron, rounded(float(direction[neuron]))] for neuron in largest if float(direction[neuron])]


def _table(explored: Explored, labels: list[list[str]], promoted: list[list[str]]) -> dict[str, Any]:
    traits, shown = explored.dictionary.traits, torch.from_numpy(explored.shown)
    n = len(explored.codes)
    columns = {
        "density": explored.fires[:, shown].double().mean(dim=0),
        "kurtosis": features.excess_kurtosis(explored.activations),
        "largest": explored.activations.abs().amax(dim=0),
    }
    facts: dict[str, Any] = {
        "features": explored.everything.shape[1],
        "tokens": n,
        "signed": traits.signed and traits.group_size == 1,
        "binary": traits.binary,
        "group_size": traits.group_size,
        "dense": traits.firing == "dense",
        "tree": isinstance(explored.dictionary, FeatureTree),
    }
    if traits.binary:
        ones = (explored.codes != 0).float()
        joint = (ones.T @ ones).double().cpu()
        entropies = channel_entropies(joint.diagonal(), n)
        columns["entropy"] = entropies[shown]
        facts["bits"] = {
            "summed": rounded(float(entropies.sum())),
            "dependent": rounded(chow_liu_entropy(joint, n)),
        }
    return {
        "facts": facts,
        "ids": explored.shown.tolist(),
        "labels": labels,
        "promoted": promoted,
        **{name: [rounded(value) for value in column.tolist()] for name, column in columns.items()},
    }


def _tokens(explored: Explored) -> dict[str, Any]:
    shown = torch.from_numpy(explored.shown)
    sizes = features.contributions(explored.dictionary, explored.codes, explored.everything)[:, shown]
    of_rows = features.strongest_features(sizes.cpu(), explored.activations.cpu(), FEATURES_OF_TOKEN)
    texts = explored.texts
    of_places = [of_rows[row] if row >= 0 else None for row in texts.rows]
    bounds = list(zip(texts.starts[:-1].tolist(), texts.starts[1:].tolist(), strict=True))
    of_texts = [of_places[start:stop] for start, stop in bounds]
    return {
        f"tokens-{number}": of_texts[start : start + TEXTS_PER_SHARD]
        for number, start in enumerate(range(0, len(of_texts), TEXTS_PER_SHARD))
    }
