"""Weights before the first step."""

from typing import Literal

import torch
from torch import Tensor

MEDIAN_ITERATIONS = 100
MEDIAN_TOLERANCE = 1e-5


def geometric_median(x: Tensor) -> Tensor:
    """Point (d,) of the smallest total distance to the rows of x (n, d), by Weiszfeld's iteration from their mean.

    Stops after 100 iterations, or when the point moves by less than 1e-5 of the mean distance.
    """
    rows = x.double()
    point = rows.mean(0)
    for _ in range(MEDIAN_ITERATIONS):
        distances = (rows - point).norm(dim=1)
        weights = 1 / distances.clamp_min(1e-12)
        moved = weights @ rows / weights.sum()
        step, point = float((moved - point).norm()), moved
        if step < MEDIAN_TOLERANCE * float(distances.mean()):
            break
    return point.to(x.dtype)


def initial_weights(
    rows: Tensor,
    n_features: int,
    d_read: int,
    *,
    norm: float,
    b_dec: Literal["zero", "mean", "geometric_median"],
    tied: bool,
    seed: int,
) -> dict[str, Tensor]:
    """W_enc (F, d_read), b_enc (F,), W_dec (F, d), b_dec (d,) for rows (n, d) of what is rebuilt.

    Atoms point anywhere and have length `norm`. The encoder is the transposed decoder if `tied`, as in all recipes of
    sparse autoencoders; a transcoder's is drawn on its own, for it reads another space. Drawn on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)

    def directions(width: int) -> Tensor:
        drawn = torch.randn(n_features, width, generator=generator)
        return norm * torch.nn.functional.normalize(drawn)

    W_dec = directions(rows.shape[1])
    W_enc = W_dec.clone() if tied else directions(d_read)
    center = {
        "zero": lambda: torch.zeros(rows.shape[1], device=rows.device),
        "mean": lambda: rows.double().mean(0).to(rows.dtype),
        "geometric_median": lambda: geometric_median(rows),
    }[b_dec]()
    weights = {"W_enc": W_enc, "b_enc": torch.zeros(n_features), "W_dec": W_dec, "b_dec": center}
    return {name: tensor.to(rows.device) for name, tensor in weights.items()}
