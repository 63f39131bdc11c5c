"""What single features do on a text: how often and how strongly they act, and where most.

Shapes: n rows (tokens with activations), F codes, K features. A feature is a code, or a group of codes. Its activation
is its code; the norm of its codes if it is a group; and for a bit its deviation from its rate, or 0 where it has the
value that it mostly has, as only the rarer value tells something (Binary Autoencoder, Section 5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.explorer.texts import Integers, Texts
from unweave.methods.dictionary import Dictionary

BEFORE, AFTER = 20, 10
"""Tokens around the strongest one of a context."""
CANDIDATES = 200
"""Strongest tokens of a feature among which contexts are chosen."""
BINS = 30
FULL_SCALE = 100
"""Activations of a context are in this part of the largest of the feature."""
BLOCK = 512

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """A token on which a feature is strong, with what surrounds it."""

    text: int
    first: int
    """Position in the text of the first token of the window."""
    peak: int
    """Number in the window of the strong token."""
    value: float
    """Activation on it."""
    codes: list[int | None]
    """Of each token of the window, in hundredths of the feature's largest; None where there is no activation."""


@dataclass(frozen=True)
class Histogram:
    """Counts of activations that are not 0, in bins of equal width."""

    low: float
    high: float
    counts: list[int]


def feature_activations(dictionary: Dictionary, codes: Tensor) -> Tensor:
    """Activations (n, K) of codes (n, F)."""
    if dictionary.traits.group_size > 1:
        return dictionary.strengths(codes)
    if dictionary.traits.binary:
        deviation = codes - codes.mean(dim=0)
        rarer: Tensor = torch.where(deviation.abs() >= 0.5, deviation, 0)
        return rarer
    return codes


def contributions(dictionary: Dictionary, codes: Tensor, activations: Tensor) -> Tensor:
    """How much each feature (n, K) matters on each row: the norm of what it writes, or how unusual its bit is."""
    size = dictionary.traits.group_size
    if size == 1:
        norms: Tensor = dictionary.atoms.norm(dim=1)
        return activations.abs() if dictionary.traits.binary else activations.abs() * norms
    atoms = dictionary.atoms.reshape(-1, size, dictionary.atoms.shape[1])
    grouped = codes.reshape(len(codes), -1, size)
    squares = torch.einsum("nkr,krs,nks->nk", grouped, atoms @ atoms.mT, grouped)
    return squares.clamp_min(0).sqrt()


def excess_kurtosis(activations: Tensor) -> Tensor:
    """Excess kurtosis (K,) over the rows of (n, K), in float64; 0 where a feature does not vary."""
    found = []
    for block in torch.split(activations, BLOCK, dim=1):
        centred = block.double() - block.double().mean(dim=0)
        variance = centred.square().mean(dim=0)
        varies = variance > 0
        fourth = centred.pow(4).mean(dim=0) / torch.where(varies, variance, 1).square()
        found.append(torch.where(varies, fourth - 3, 0))
    return torch.cat(found)


def histogram(activations: Floats) -> Histogram:
    """Histogram of the activations (n,) of one feature that are not 0."""
    values = activations[activations != 0]
    if not len(values):
        return Histogram(0, 0, [0] * BINS)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    return Histogram(low, high, counts.tolist())


def evenly_spaced(alive: Integers, most: int) -> Integers:
    """At most `most` of the features `alive`, evenly spaced: no measure decides what is shown."""
    if len(alive) <= most:
        return alive
    return alive[np.linspace(0, len(alive) - 1, most).round().astype(np.int64)]


def candidates(activations: Tensor, sign: int) -> Tensor:
    """Rows (c, K) on which each feature is strongest in the direction of `sign`, strongest first.

    Rows of equal activation, as those of bits, come in random order and not from the first texts alone.
    """
    order = torch.randperm(len(activations), generator=torch.Generator().manual_seed(0))
    most = min(CANDIDATES, len(order))
    parts = [
        order[(sign * block[order]).argsort(dim=0, descending=True, stable=True)[:most]]
        for block in torch.split(activations, BLOCK, dim=1)
    ]
    return torch.cat(parts, dim=1)


def peaks(rows: Sequence[int], texts: Texts, most: int) -> list[int]:
    """Leave of `rows`, strongest first, at most `most` whose windows do not overlap."""
    kept: list[int] = []
    taken: list[tuple[int, int]] = []
    for row in rows:
        place = int(texts.places[row])
        text = texts.text_at(place)
        if all(text != other or abs(place - near) > BEFORE + AFTER for other, near in taken):
            kept.append(row)
            taken.append((text, place))
        if len(kept) == most:
            break
    return kept


def context(row: int, activations: Floats, texts: Texts, row_of: Integers, scale: float) -> Context:
    """Window around a row, with the activations (n,) of one feature, whose largest magnitude is `scale`."""
    place = int(texts.places[row])
    text = texts.text_at(place)
    start, stop = (int(bound) for bound in texts.starts[text : text + 2])
    first = max(start, place - BEFORE)
    window = row_of[first : min(stop, place + AFTER + 1)]
    codes = [None if other < 0 else round(float(activations[other]) / scale * FULL_SCALE) for other in window]
    return Context(text, first - start, place - first, float(activations[row]), codes)


def contexts(activations: Tensor, texts: Texts, most: int) -> list[tuple[list[Context], list[Context]]]:
    """(K,) contexts of each feature, where it is largest above 0 and where it is largest below 0, from (n, K)."""
    row_of = texts.rows
    columns = np.ascontiguousarray(activations.cpu().numpy().T)
    sides = [candidates(activations.cpu(), sign).numpy().T for sign in (1, -1)]
    found = []
    for column, *ranked in zip(columns, *sides, strict=True):
        scale = float(np.abs(column).max()) or 1.0
        both = []
        for sign, rows in zip((1, -1), ranked, strict=True):
            acting = rows[sign * column[rows] > 0].tolist()
            both.append([context(row, column, texts, row_of, scale) for row in peaks(acting, texts, most)])
        found.append((both[0], both[1]))
    return found


def label_tokens(found: tuple[list[Context], list[Context]], texts: Texts, most: int) -> list[str]:
    """Distinct tokens on which a feature is strongest, strongest first, without the space around them."""
    strongest = sorted([*found[0], *found[1]], key=lambda one: -abs(one.value))
    tokens = (texts.pieces[int(texts.starts[one.text]) + one.first + one.peak].strip() for one in strongest)
    return list(dict.fromkeys(token for token in tokens if token))[:most]


def strongest_features(sizes: Tensor, activations: Tensor, most: int) -> list[list[int]]:
    """(n,) features that contribute most to each row, as pairs of feature and activation, flattened.

    Activations are in hundredths of the feature's largest; features whose activation is 0 are left out.
    """
    scale = activations.abs().amax(dim=0)
    relative = (activations / torch.where(scale > 0, scale, 1) * FULL_SCALE).round().int()
    chosen = torch.where(activations != 0, sizes, -1).topk(min(most, sizes.shape[1]), dim=1).indices
    acts = activations.gather(1, chosen) != 0
    pairs = torch.stack([chosen, relative.gather(1, chosen)], dim=2)
    return [row[mask].flatten().tolist() for row, mask in zip(pairs, acts, strict=True)]
