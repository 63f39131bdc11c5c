"""What ICA does to rows before it whitens them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.activations.geometric_median import geometric_median, median_normalised, median_normalised_statistics
from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations, Statistics
from unweave.methods.ica.settings import Preprocessing


@dataclass(frozen=True)
class Preparation:
    """A preprocessing of the ICA Lens papers with what it learned from the rows."""

    preprocessing: Preprocessing
    statistics: Statistics
    """Of the prepared rows."""
    median: Tensor | None = None
    """(d,) in float64, where it is subtracted."""

    def __call__(self, x: Tensor) -> Tensor:
        """Prepare rows x (n, d)."""
        if self.median is not None:
            return median_normalised(x, self.median.to(x.dtype))
        return row_normalised(x) if self.preprocessing == "row_norm" else x


def prepare(activations: Activations, preprocessing: Preprocessing, device: torch.device) -> Preparation:
    """Learn a preprocessing: only the geometric median takes passes over the rows of its own."""
    if preprocessing != "geometric_median":
        return Preparation(preprocessing, activations.statistics(row_norm=preprocessing == "row_norm"))
    median = geometric_median(activations, device)
    return Preparation(preprocessing, median_normalised_statistics(activations, median), median)
