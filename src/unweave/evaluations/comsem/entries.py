"""Which tokens belong to which feature: the lists that ComSem interprets (Binary Autoencoder, Section 5.1; its code).

A token is an entry of the `top` features that are strongest on it, by `Dictionary.strengths`: the burstiness of bits,
magnitudes otherwise. A signed code is two features, one for each sign; a group is one. The released code makes every
token an entry of exactly `top` features. Here it is none of features whose code is zero on it, or whose bit has the
value that it mostly has in the corpus.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.activations.source import Activations
from unweave.methods.dictionary import Dictionary

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Entries:
    """Pairs (E,) of a feature and a row that belongs to it, by feature and then by row."""

    features: Integers
    rows: Integers
    strengths: NDArray[np.float64]
    active: NDArray[np.bool_]
    """Whether the code is not the usual one."""
    n_rows: int
    n_features: int

    @classmethod
    def sorted_by_feature(
        cls,
        features: Integers,
        rows: Integers,
        strengths: NDArray[np.float64],
        active: NDArray[np.bool_],
        n_rows: int,
        n_features: int,
    ) -> "Entries":
        """From pairs in any order."""
        order = np.lexsort((rows, features))
        return cls(features[order], rows[order], strengths[order], active[order], n_rows, n_features)

    def only(self, mask: NDArray[np.bool_]) -> "Entries":
        """Only the pairs where `mask` (E,) is true."""
        return replace(
            self,
            features=self.features[mask],
            rows=self.rows[mask],
            strengths=self.strengths[mask],
            active=self.active[mask],
        )

    def moved(self, rows: Integers) -> "Entries":
        """Keep features and strengths, on other `rows` (E,)."""
        return Entries.sorted_by_feature(self.features, rows, self.strengths, self.active, self.n_rows, self.n_features)

    @property
    def counts(self) -> Integers:
        """(F,) entries of each feature."""
        return np.bincount(self.features, minlength=self.n_features)

    def by_feature(self) -> list[Integers]:
        """(F,) rows of each feature, ascending."""
        return np.split(self.rows, np.cumsum(self.counts)[:-1])


def collect(dictionary: Dictionary, activations: Activations, top: int, device: torch.device) -> Entries:
    """Entries of all rows; memory is that of one block of codes and 4 n `top` numbers."""
    traits = dictionary.traits
    split = traits.signed and traits.group_size == 1
    width = dictionary.n_features // traits.group_size
    on_counts = torch.zeros(width, dtype=torch.int64, device=device)
    parts = []
    start = 0
    for block in activations.blocks():
        codes = dictionary.encode(block.to(device))
        on = (codes.reshape(len(codes), width, traits.group_size) != 0).any(dim=2)
        on_counts += on.sum(dim=0)
        strengths, chosen = dictionary.strengths(codes).topk(min(top, width), dim=1)
        rows = torch.arange(start, start + len(codes), device=device)[:, None].expand_as(chosen)
        negative = codes.gather(1, chosen) < 0 if split else torch.zeros_like(chosen, dtype=torch.bool)
        parts.append([part.cpu() for part in (chosen, negative, rows, strengths, on.gather(1, chosen))])
        start += len(codes)
    features, is_negative, of_row, strength, is_on = (
        torch.cat(part).flatten().numpy() for part in zip(*parts, strict=True)
    )
    usually_on = traits.binary & (2 * on_counts.cpu().numpy() > start)
    return Entries.sorted_by_feature(
        features + width * is_negative,
        of_row,
        strength.astype(np.float64),
        is_on != usually_on[features],
        start,
        width * (2 if split else 1),
    )


def shifted(entries: Entries, docs: NDArray[np.integer], half: NDArray[np.bool_], rng: np.random.Generator) -> Entries:
    """Control features of the same rates: each is moved along the corpus by an offset of its own, within each half.

    Unlike tokens drawn at random, they keep their bursts: features that fire often in few documents go on doing so. The
    documents (n,) that they are moved to stand in random order, as corpora may be sorted by label.
    """
    place = np.empty(entries.n_rows, dtype=np.int64)
    rows = entries.rows.copy()
    rank = rng.permutation(int(docs.max()) + 1)
    for part in (half, ~half):
        members = np.flatnonzero(part)
        place[members] = np.arange(len(members))
        targets = members[np.argsort(rank[docs[members]], kind="stable")]
        offsets = rng.integers(len(members), size=entries.n_features)
        inside = part[entries.rows]
        moved = place[entries.rows[inside]] + offsets[entries.features[inside]]
        rows[inside] = targets[moved % len(members)]
    return entries.moved(rows)


def random_entries(entries: Entries, rng: np.random.Generator) -> Entries:
    """Make the authors' control: independent Gaussian activations, so that features get tokens at random."""
    features = rng.permutation(np.arange(len(entries.features)) % entries.n_features)
    ones = np.ones(len(features), dtype=bool)
    return Entries.sorted_by_feature(
        features, entries.rows, rng.random(len(features)), ones, entries.n_rows, entries.n_features
    )
