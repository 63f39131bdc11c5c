"""Dividing documents into train and test once, by document and stratified by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unweave.config import SplitSettings
from unweave.errors import UnweaveError


def held_out(
    labels: NDArray[np.int64], groups: NDArray[np.int64], label_names: Sequence[str], settings: SplitSettings
) -> NDArray[np.bool_]:
    """Rows (n,) that go to the test split.

    Of the source documents (`groups`) of each class, a seeded permutation picks `test_fraction`, rounded, at least one
    and at most all but one. Pieces of one source document go to the same side. Without classes all labels are -1.

    Raises
    ------
    UnweaveError
        if a class comes from fewer than two source documents.
    """
    test = np.zeros(len(labels), dtype=np.bool_)
    for label in range(len(label_names)) if label_names else [-1]:
        members = np.unique(groups[labels == label])
        if len(members) < 2:
            kind = f"label {label_names[label]!r}" if label_names else "the source"
            raise UnweaveError(f"{kind} has {len(members)} usable documents: train and test need at least one each")
        count = int(np.clip(round(settings.test_fraction * len(members)), 1, len(members) - 1))
        chosen = np.random.default_rng([settings.seed, label + 1]).permutation(members)[:count]
        test |= (labels == label) & np.isin(groups, chosen)
    return test
