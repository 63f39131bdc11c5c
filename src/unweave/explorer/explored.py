"""A dictionary on the texts that are shown, computed once for everything that looks at it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.evaluations.core.firing import firing
from unweave.explorer import features, groups
from unweave.explorer.texts import Texts
from unweave.methods.dictionary import Dictionary

FIRES_IN_DENSE = 32
"""Of a dictionary whose codes are never zero, the features of largest strength that fire on a token."""
POINTS = 300
"""Rows on which a group is looked at, at most."""


@dataclass(frozen=True)
class Explored:
    """A dictionary on the rows (n, d) of some texts, and which of its features are shown."""

    dictionary: Dictionary
    x: Tensor
    texts: Texts
    most: int

    @cached_property
    def codes(self) -> Tensor:
        """(n, F)."""
        return self.dictionary.encode(self.x)

    @cached_property
    def everything(self) -> Tensor:
        """Activations (n, K) of all features."""
        return features.feature_activations(self.dictionary, self.codes)

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Features with a page, ascending."""
        alive = np.flatnonzero((self.everything != 0).any(dim=0).cpu().numpy())
        return features.evenly_spaced(alive, self.most)

    @cached_property
    def activations(self) -> Tensor:
        """Activations (n, k) of the shown ones."""
        return self.everything[:, torch.from_numpy(self.shown)]

    @cached_property
    def fires(self) -> Tensor:
        """Boolean (n, K)."""
        return firing(self.dictionary, self.codes, FIRES_IN_DENSE)

    def rows_of(self, feature: int) -> NDArray[np.int64]:
        """Rows on which a feature acts, evenly spaced if there are more than POINTS."""
        return features.evenly_spaced(np.flatnonzero(self.everything[:, feature].cpu().numpy()), POINTS)

    def written(self, feature: int) -> groups.Written:
        """Collect what a group writes on the rows where it acts."""
        size = self.dictionary.traits.group_size
        members = slice(feature * size, (feature + 1) * size)
        return groups.Written.of(self.codes[self.rows_of(feature), members], self.dictionary.atoms[members])

    @cached_property
    def directions(self) -> Tensor:
        """What each shown feature writes (k, d): its atom, or the main direction of a group."""
        if self.dictionary.traits.group_size == 1:
            return self.dictionary.atoms[torch.from_numpy(self.shown)]
        return torch.stack([groups.main_direction(self.written(int(feature))) for feature in self.shown])
