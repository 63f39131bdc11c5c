"""The step function that makes codes of pre-activations, and what stands in for its derivative, which is zero."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Gradient = Literal["ste", "released", "literal", "sigmoid", "clip", "tanh"]

SURROGATES: dict[Gradient, Callable[[Tensor, Tensor], Tensor]] = {
    "ste": lambda g, _: g,
    "released": lambda g, _: torch.addcmul(g, g, g, value=-1),
    "literal": lambda g, x: g * (x - x * x),
    "sigmoid": lambda g, x: torch.ops.aten.sigmoid_backward(g, x.sigmoid()),
    "clip": lambda g, x: g * (x.abs() <= 1),
    "tanh": lambda g, x: torch.ops.aten.tanh_backward(g, x.tanh()),
}
"""Gradient (..., B, F) with respect to pre-activations x of a loss whose gradient with respect to the bits is g.

`released` is what the published code does: it applies the formula of equation 6 to the incoming gradient instead of x.
"""


def levels(x: Tensor, bits: int) -> Tensor:
    """Sigmoid of pre-activations x, rounded to multiples of 1 / (2^bits - 1).

    Where x > 0 the sigmoid is above 1/2 and no level is 0; with one bit it is 1 there.
    """
    steps = 2**bits - 1
    scaled: Tensor = x.sigmoid() * steps
    return scaled.round_().div_(steps)


def codes(x: Tensor, bits: int) -> Tensor:
    """Float32 codes of pre-activations x: 0 where x <= 0, and elsewhere 1 or, with more than one bit, its level."""
    active = (x > 0).to(x.dtype)
    return active if bits == 1 else active * levels(x, bits)
