"""Whether the strongest tokens of a feature lie together in the model's input embeddings.

Coherence is the mean cosine between pairs of their embeddings, centred over the tokens of the corpus. The same tokens
again and again are coherent without meaning anything in common, so it is also measured over distinct tokens.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from unweave.evaluations.comsem.entries import Entries

Floats = NDArray[np.float64]


def unit_directions(embeddings: NDArray[np.float32], ids: NDArray[np.integer]) -> Floats:
    """Compute unit vectors (n, d) of the centred embeddings (vocabulary, d) of the tokens `ids` (n,)."""
    rows = embeddings.astype(np.float64)[ids]
    rows -= rows.mean(axis=0)
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    return unit


def strongest(
    entries: Entries, top: int, rng: np.random.Generator, ids: NDArray[np.integer] | None = None
) -> dict[int, NDArray[np.int64]]:
    """Feature to the rows of its `top` strongest entries, of distinct tokens if the tokens `ids` (n,) are given.

    Equally strong ones, as those of bits, in random order. Features with fewer are left out.
    """
    order = np.lexsort((rng.random(len(entries.rows)), -entries.strengths, entries.features))
    features, rows = entries.features[order], entries.rows[order]
    if ids is not None:
        first = np.sort(np.unique(features * (int(ids.max()) + 1) + ids[rows], return_index=True)[1])
        features, rows = features[first], rows[first]
    counts = np.bincount(features, minlength=entries.n_features)
    parts = np.split(rows, np.cumsum(counts)[:-1])
    return {feature: part[:top] for feature, part in enumerate(parts) if len(part) >= top}


def coherences(rows_of: dict[int, NDArray[np.int64]], unit: Floats) -> Floats:
    """Mean cosine between pairs of each feature's rows, equally many and at least 2, given unit vectors (n, d)."""
    if not rows_of:
        return np.empty(0)
    rows = np.array(list(rows_of.values()))
    a, m = rows.shape
    chosen = sparse.csr_array((np.ones(a * m), rows.ravel(), np.arange(0, a * m + 1, m)), (a, len(unit)))
    squares = np.square(chosen @ unit).sum(axis=1)
    # A vector of zeros, at the centre, has no direction: it counts with a cosine of 0, also with itself.
    own = np.square(np.linalg.norm(unit, axis=1))[rows].sum(axis=1)
    cosines: Floats = (squares - own) / (m * (m - 1))
    return cosines
