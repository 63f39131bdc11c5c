"""From a random rotation to a fitted one by the algorithm of the settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.hardware import has_fast_bfloat16
from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.convergence import Stop
from unweave.methods.ica.deflation import deflate
from unweave.methods.ica.descent import Rows, descend
from unweave.methods.ica.fixed_point import initial_rotation, iterate, step, symmetric_decorrelation
from unweave.methods.ica.preparation import Preparation
from unweave.methods.ica.run import Journal, Run
from unweave.methods.ica.settings import Settings
from unweave.methods.ica.sweep import fixed_point
from unweave.methods.ica.whitening import CPU_BLOCK_ROWS, WhitenedRows, Whitening

SUBSAMPLE_FIXED_POINT_STEPS = 12
SUBSAMPLE_DESCENT_STEPS = 6
SMALLEST_SUBSAMPLE_VARIANCE = 1e-2
"""A direction of less variance in the subsample than this share of that in all rows is not scaled up any further."""


@dataclass(frozen=True)
class Subsample:
    """Some whitened rows, whitened once more by their own covariance: without it a fit of them stalls."""

    rows: Tensor
    """(n0, q)"""
    matrix: Tensor
    """(q, q) what whitened them, in float64"""

    @classmethod
    def of(cls, rows: Tensor) -> "Subsample":
        """Whiten `rows` (n0, q) in place."""
        q = rows.shape[1]
        total, gram = (torch.zeros(size, dtype=torch.float64, device=rows.device) for size in (q, (q, q)))
        for block in torch.split(rows, CPU_BLOCK_ROWS):
            wide = block.float()
            total += wide.sum(dim=0)
            gram += wide.T @ wide
        mean = total / len(rows)
        variances, axes = torch.linalg.eigh(gram / len(rows) - mean.outer(mean))
        matrix = (axes / variances.clamp_min(SMALLEST_SUBSAMPLE_VARIANCE).sqrt()) @ axes.T
        for block in torch.split(rows, CPU_BLOCK_ROWS):
            block.copy_((block.float() - mean.float()) @ matrix.float())
        return cls(rows, matrix)

    def blocks(self) -> Iterator[Tensor]:
        """Blocks (b, q)."""
        yield from torch.split(self.rows, CPU_BLOCK_ROWS)


class Solver:
    """Rows of one fit, and the runs on them."""

    def __init__(
        self,
        activations: Activations,
        whitening: Whitening,
        preparation: Preparation,
        settings: Settings,
        journal: Journal,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.n_components = whitening.matrix.shape[0]
        self._journal = journal
        self._device = device
        self._contrast = CONTRASTS[settings.contrast]
        self._source = partial(WhitenedRows, activations, whitening, preparation, device=device)
        bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and has_fast_bfloat16(device))
        self.dtype = torch.bfloat16 if settings.algorithm == "lbfgs" and bfloat16 else torch.float32

    @cached_property
    def _rows(self) -> WhitenedRows:
        """The rows that most sweeps are over."""
        return self._source(memory_gb=self.settings.memory_gb, dtype=self.dtype)

    @cached_property
    def exact_rows(self) -> WhitenedRows:
        """The rows in float32, read anew in each sweep where bfloat16 ones are kept."""
        return self._rows if self.dtype == torch.float32 else self._source(memory_gb=0.0)

    def fresh(self, q: int, seed: int) -> Run:
        """Random rotation of `seed` that a fit of q components starts from."""
        return Run(initial_rotation(q, seed, self._device))

    def solve(self, name: str, start: Run, iterations: int, seed: int) -> Run:
        """Go on from `start` for `iterations` at most; `name` tells this run from the others of the fit."""
        q = len(start.rotation)
        title = f"ICA ({name}, {q} components)"
        start = Run(start.rotation, start.history)
        if self.settings.algorithm == "deflation":
            blocks = partial(self._rows.blocks, q)
            return self._journal.run(
                name,
                start,
                lambda run, keep: deflate(
                    blocks,
                    run,
                    self._contrast,
                    iterations=iterations,
                    tolerance=self.settings.tolerance,
                    title=title,
                    keep=keep,
                ),
            )
        stop = Stop.after(start.iterations + iterations, self.settings)
        if self.settings.algorithm == "symmetric":

            def advance(rotation: Tensor) -> tuple[Tensor, Tensor]:
                return step(self._rows.blocks(q), rotation, self._contrast)

            return self._journal.run(
                name, start, lambda run, keep: iterate(advance, run, self._contrast, stop, title=title, keep=keep)
            )
        if not start.iterations:
            start = self._on_subsample(name, start, seed)
        every = round(1 / self.settings.held_out) if self.settings.held_out else 0
        sources = [Rows(partial(self._rows.blocks, q), every)]
        if self.exact_rows is not self._rows:
            sources.append(Rows(partial(self.exact_rows.blocks, q), every))
        return self._journal.run(
            name, start, lambda run, keep: descend(sources, run, self._contrast, stop, title=title, keep=keep)
        )

    def _on_subsample(self, name: str, start: Run, seed: int) -> Run:
        """First stage of the descent: a short fit of a subsample, whose rotation is carried over to all rows."""
        q = len(start.rotation)
        n = self.settings.subsample * q
        if not 0 < 2 * n <= self._rows.n:
            return start
        # Both steps are skipped when a finished or later run is in the journal, and the subsample is not even drawn.
        drawn: list[Subsample] = []

        def subsample() -> Subsample:
            if not drawn:
                drawn.append(Subsample.of(self._rows.sample(n, q, seed)))
            return drawn[0]

        def carried(run: Run) -> Run:
            return replace(run, rotation=symmetric_decorrelation(run.rotation @ subsample().matrix))

        first = self._journal.run(
            f"{name}, subsample",
            start,
            lambda run, keep: iterate(
                partial(fixed_point, lambda: subsample().blocks(), self._contrast),
                run,
                self._contrast,
                Stop(SUBSAMPLE_FIXED_POINT_STEPS),
                title=f"ICA ({name}, fixed point on a subsample)",
                keep=keep,
            ),
        )

        def descent(run: Run, keep: Callable[[Run], None]) -> Run:
            rows = Rows(lambda: subsample().blocks())
            stop = Stop(SUBSAMPLE_FIXED_POINT_STEPS + SUBSAMPLE_DESCENT_STEPS)
            title = f"ICA ({name}, descent on a subsample)"
            return carried(descend([rows], run, self._contrast, stop, title=title, keep=keep))

        second = self._journal.run(f"{name}, subsample descent", first, descent)
        return Run(second.rotation, {"subsample_contrast": second.history["contrast"]})
