"""Which predicates hold more often of a feature's tokens than of all tokens, at a false discovery rate.

For each feature and predicate, the upper tail of the binomial distribution at the predicate's rate in the corpus (a
little wider than the hypergeometric, which draws without replacement), and the procedure of Benjamini and Hochberg over
all pairs. The test takes tokens as independent, which those of one document are not; so the same is done with shifted
features, whose discoveries are all false.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control

from unweave.evaluations.comsem.entries import Entries
from unweave.evaluations.comsem.predicates import PredicateBank, tail

FEWEST_ENTRIES = 10
"""Features with fewer are not tested."""


@dataclass(frozen=True)
class Enrichment:
    """Tests of A features with enough entries."""

    features: NDArray[np.int64]
    """(A,)"""
    best: NDArray[np.int64]
    """(A,) predicate of the smallest p-value."""
    adjusted: NDArray[np.float64]
    """(A,) its p-value, adjusted over all pairs of features and predicates."""
    precision: NDArray[np.float64]
    """(A,) share of the feature's entries of which it holds."""
    recall: NDArray[np.float64]
    """(A,) share of the tokens of which it holds that are entries."""


def enrichment(entries: Entries, bank: PredicateBank) -> Enrichment:
    """Best predicate of each feature on all its entries."""
    counts = entries.counts
    tested = np.flatnonzero(counts >= FEWEST_ENTRIES)
    ones = np.ones(len(entries.rows), dtype=np.int64)
    belongs = sparse.csr_array((ones, (entries.features, entries.rows)), (entries.n_features, entries.n_rows))
    hits = (belongs[tested] @ sparse.csr_array(bank.holds.astype(np.int64))).toarray()
    totals = bank.holds.sum(axis=0)
    if not len(tested) or not bank.names:
        none = np.empty(0)
        return Enrichment(tested[:0], tested[:0], none, none, none)
    p = tail(hits, counts[tested, None], totals / entries.n_rows)
    best = p.argmin(axis=1)
    adjusted = false_discovery_control(p, axis=None).reshape(p.shape)
    at_best = np.arange(len(tested)), best
    return Enrichment(tested, best, adjusted[at_best], hits[at_best] / counts[tested], hits[at_best] / totals[best])
