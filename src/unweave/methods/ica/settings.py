"""Settings of ICA in both modes of the paper."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unweave.config import Strict


class Settings(Strict):
    """Settings of symmetric FastICA.

    The two versions of the ICA Lens paper are two sets of values: version 1 scales rows to
    unit norm and stops on a tolerance, version 2 leaves rows as they are and always runs 50 iterations.
    """

    row_norm: bool = Field(default=False, description="scale every row to unit Euclidean norm first (version 1)")
    contrast: Literal["logcosh", "exp", "cube"] = Field(
        default="logcosh", description="measure of non-Gaussianity that the fixed point makes extreme"
    )
    n_components: int | None = Field(
        default=None, ge=1, description="components kept, those of largest variance; null keeps the full width"
    )
    iterations: int = Field(default=50, ge=1, description="iterations of one fit, at most")
    tolerance: float | None = Field(
        default=None,
        gt=0,
        description="stop when no component moves by more than this in one iteration (LIM); null runs all iterations",
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
    def _only_a_tolerance_rejects(self) -> Self:
        if self.tolerance is None and (self.accept_p95 is not None or self.refits):
            raise ValueError("accept_p95 and refits need a tolerance: without one every fit is accepted")
        return self
