"""Settings of ICA: both modes of the paper, and the fast solver."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unweave.config import Strict

Preprocessing = Literal["raw", "row_norm", "geometric_median"]


class Settings(Strict):
    """Settings of ICA.

    The two versions of the ICA Lens paper are two sets of values: version 1 scales rows to
    unit norm and stops on a tolerance, version 2 leaves rows as they are and always runs 50 iterations.
    """

    preprocessing: Preprocessing = Field(
        default="raw",
        description="rows as they are (version 2); scaled to unit Euclidean norm (version 1); or the geometric median "
        "subtracted, then scaled to unit norm",
    )
    algorithm: Literal["symmetric", "deflation", "lbfgs"] = Field(
        default="symmetric",
        description="FastICA on all components at once (both versions), FastICA on one component after the other, or "
        "L-BFGS on the same contrast, which reaches it several times faster",
    )
    contrast: Literal["logcosh", "exp", "cube"] = Field(
        default="logcosh", description="measure of non-Gaussianity that the fit makes extreme"
    )
    n_components: int | None = Field(
        default=None, ge=1, description="components kept, those of largest variance; null keeps the full width"
    )
    iterations: int = Field(
        default=50,
        ge=0,
        description="iterations of one fit, at most (of each component, for deflation); 0 leaves the random rotation "
        "that a fit starts from",
    )
    tolerance: float | None = Field(
        default=None,
        gt=0,
        description="stop when no component moves by more than this in one iteration (LIM); null runs all iterations",
    )
    stop_p95: float | None = Field(
        default=None, gt=0, description="stop when 95 % of the components move by less than this in one iteration"
    )
    plateau: float | None = Field(
        default=None,
        gt=0,
        description="stop when the mean contrast changed by less than this share of itself over 5 iterations; with "
        "held_out, when the contrast of the held-out rows rose by less",
    )
    held_out: float = Field(
        default=0.0, ge=0, le=0.5, description="share of the rows that only the plateau is measured on (lbfgs)"
    )
    subsample: int = Field(
        default=64,
        ge=0,
        description="rows per component of the random subsample on which lbfgs starts; 0 starts on all rows, as do "
        "data of less than twice as many rows",
    )
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="in which lbfgs multiplies, except for its last steps and for what is reported, which are always "
        "float32; auto takes bfloat16 where the hardware has it",
    )
    accept_p95: float | None = Field(
        default=None,
        gt=0,
        description="also accept a fit whose 95th percentile of LIM is at most this after the last iteration; "
        "needs a tolerance",
    )
    refits: int = Field(
        default=0,
        ge=0,
        le=3,
        description="how many steps of adaptive refit a rejected fit may take: 1 continues it, 2 also starts from "
        "another seed, 3 also drops the 5 % of directions of least variance; needs a tolerance",
    )
    refit_iterations: int = Field(default=500, ge=1, description="further iterations when a rejected fit is continued")
    ensemble: int = Field(
        default=0,
        ge=0,
        description="further seeds that are fitted to tell how stable each component is: its |cosine| with its match "
        "in the other fits",
    )
    order: Literal["strength", "as_fitted"] = Field(
        default="strength", description="component order: most non-Gaussian first (version 2), or as the fit left them"
    )
    sign: Literal["skewness", "as_fitted"] = Field(
        default="skewness", description="component sign: the heavier tail is positive, or as the fit left it"
    )
    memory_gb: float = Field(
        default=4.0,
        ge=0,
        description="whitened rows are kept in memory up to this size; beyond it they are read and whitened anew in "
        "every iteration, with the same result",
    )

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Self:
        if self.tolerance is None and (self.accept_p95 is not None or self.refits):
            raise ValueError("accept_p95 and refits need a tolerance: without one every fit is accepted")
        stops = (self.tolerance, self.stop_p95, self.plateau)
        if self.iterations == 0 and (self.algorithm != "symmetric" or any(stop is not None for stop in stops)):
            raise ValueError("0 iterations leave nothing to stop: drop algorithm, tolerance, stop_p95 and plateau")
        if self.algorithm == "deflation" and (self.refits or self.stop_p95 is not None or self.plateau is not None):
            raise ValueError("deflation stops each component by its tolerance alone: drop refits, stop_p95 and plateau")
        if self.held_out and (self.algorithm != "lbfgs" or self.plateau is None):
            raise ValueError("held_out needs algorithm lbfgs and a plateau: nothing else looks at held-out rows")
        return self
