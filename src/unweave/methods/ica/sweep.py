"""One sweep over whitened rows: all that a step of a solver needs to know at a rotation.

Two matrix products with every row, 4 n q^2 operations, in the precision of the rows. In bfloat16 a block's results are
rounded to bfloat16 as well; their errors average out over the blocks to about 1e-4 of an entry.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.ica.contrasts import CONTRASTS, Contrast, logcosh_simd
from unweave.methods.ica.fixed_point import symmetric_decorrelation


@dataclass(frozen=True)
class Sweep:
    """Averages over the rows at the rotation U, with y = U z; float64."""

    rotation: Tensor
    contrast: Tensor
    """(q,) mean of G(y_i)"""
    derivative: Tensor
    """(q,) mean of g'(y_i)"""
    products: Tensor
    """(q, q) mean of g(y_i) z_j"""
    held_out: Tensor | None = None
    """(q,) mean of G(y_i) over the rows that are left out of all of the above."""

    @property
    def relative(self) -> Tensor:
        """(q, q) mean of g(y_i) y_j."""
        return self.products @ self.rotation.T


class Elementwise:
    """The fastest evaluation of a contrast on projections like those of `blocks`, on as many threads as torch uses."""

    def __init__(self, contrast: Contrast) -> None:
        self._contrast = contrast
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads)

    def __enter__(self) -> "Elementwise":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def evaluate(self, p: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
        """As `Contrast.evaluate`."""
        simd = self._contrast is CONTRASTS["logcosh"] and p.device.type == "cpu" and p.dtype == torch.float32
        if not simd:
            return self._contrast.evaluate(p, scratch)
        # numpy's functions run on the calling thread alone, and let go of the interpreter meanwhile.
        parts = self._pool.map(logcosh_simd, p.chunk(self._threads), scratch.chunk(self._threads))
        values, derivatives = zip(*parts, strict=True)
        return torch.stack(values).sum(dim=0), torch.stack(derivatives).sum(dim=0)


def sweep(blocks: Iterable[Tensor], rotation: Tensor, contrast: Contrast, held_out_every: int = 0) -> Sweep:
    """Sweep over `blocks` (b, q); with `held_out_every` m > 0, each m-th block only counts as held out."""
    q = len(rotation)
    contrasts, derivatives, held_out = (torch.zeros_like(rotation[0]) for _ in range(3))
    reading: Tensor | None = None
    products = scratch = torch.empty(0)
    n = n_held_out = 0
    with Elementwise(contrast) as elementwise:
        for index, z in enumerate(blocks):
            if reading is None:
                reading = rotation.T.to(z.dtype)
                exact = torch.float64 if z.dtype.itemsize > 2 else torch.float32
                products = torch.zeros(q, q, dtype=exact, device=z.device)
                scratch = torch.empty(2, len(z), q, dtype=max(z.dtype, torch.float32, key=lambda t: t.itemsize))
                scratch = scratch.to(z.device)
            p = torch.mm(z, reading)
            wide = p if z.dtype == scratch.dtype else scratch[1, : len(z)].copy_(p)
            value, derivative = elementwise.evaluate(wide, scratch[0, : len(z)])
            if held_out_every and index % held_out_every == held_out_every - 1:
                held_out += value.to(held_out)
                n_held_out += len(z)
                continue
            contrasts += value.to(contrasts)
            derivatives += derivative.to(derivatives)
            products += (p if wide is p else p.copy_(wide)).T @ z
            n += len(z)
    return Sweep(
        rotation, contrasts / n, derivatives / n, products.double() / n, held_out / n_held_out if n_held_out else None
    )


def fixed_point(rows: Callable[[], Iterable[Tensor]], contrast: Contrast, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """One step of symmetric FastICA from a sweep: the next rotation, and the mean contrast (q,) of the given one."""
    at = sweep(rows(), rotation, contrast)
    return symmetric_decorrelation(at.products - at.derivative[:, None] * rotation), at.contrast
