"""The released calibration of steering strengths (Semi-NMF of MLP activations), in our words.

One direction and one target at a time: twenty halvings of the strength in [1, 2000], each a whole forward pass of the
model with the direction added after the block at every position; the last midpoint within 0.01 of the target is kept.
"""

from torch import Tensor
from transformers import PreTrainedModel

from unweave.evaluations.steering.generation import steered

WEAKEST, STRONGEST, HALVINGS, ACCEPTED = 1.0, 2000.0, 20, 0.01


def strength(model: PreTrainedModel, layer: int, ids: Tensor, direction: Tensor, target: float) -> float | None:
    """Strength at which the direction (d,) changes the next token after `ids` (1, T) by `target` nats, or None."""
    clean = model(input_ids=ids, use_cache=False).logits[0, -1].softmax(dim=-1)
    low, high, found = WEAKEST, STRONGEST, None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        with steered(model, layer, middle * direction[None]):
            changed = model(input_ids=ids, use_cache=False).logits[0, -1].softmax(dim=-1)
        kl = float((clean * ((clean + 1e-8).log() - (changed + 1e-8).log())).sum())
        if abs(kl - target) < ACCEPTED:
            found = middle
        low, high = (low, middle) if kl > target else (middle, high)
    return found


def strengths(
    model: PreTrainedModel, layer: int, ids: Tensor, directions: Tensor, targets: list[float]
) -> list[float | None]:
    """Strengths of all directions (n, d), each with its target."""
    pairs = zip(directions, targets, strict=True)
    return [strength(model, layer, ids, direction, target) for direction, target in pairs]
