"""Standardising each token over its coordinates, and undoing it (arXiv 2606.06333, section B of its code's encoder)."""

from typing import NamedTuple

from torch import Tensor

EPSILON = 1e-5


class Rows(NamedTuple):
    """Activations (n, d) as they are encoded, with what was taken from them."""

    x: Tensor
    """(n, d) what is encoded."""
    mean: Tensor
    """(n, 1) that was subtracted."""
    scale: Tensor
    """(n, 1) standard deviation that was divided by."""

    def restored(self, y: Tensor) -> Tensor:
        """Rows y (n, d) on the scale of `x`, on the scale of the activations."""
        return y * self.scale + self.mean


def standardised(x: Tensor) -> Rows:
    """Rows x (n, d) minus the mean of their coordinates, over their unbiased standard deviation plus 1e-5.

    Undoing multiplies by the standard deviation alone, as the published code does: what comes back is off by 1e-5 of
    the standardised row. A row of equal coordinates becomes 0.
    """
    mean = x.mean(dim=1, keepdim=True)
    centred = x - mean
    scale = centred.square().sum(dim=1, keepdim=True).div(x.shape[1] - 1).sqrt()
    return Rows(centred / (scale + EPSILON), mean, scale)


def prepared(x: Tensor, *, layer_norm: bool) -> Rows:
    """Rows x (n, d) standardised, or as they are."""
    return standardised(x) if layer_norm else Rows(x, x.new_zeros(1, 1), x.new_ones(1, 1))
