"""Settings of semi-NMF."""

from typing import Literal

from pydantic import Field

from unweave.config import Strict

Initialisation = Literal["random", "kmeans", "kmeans_offset", "svd", "svd_resolved"]


class SolverSettings(Strict):
    """Settings of one factorisation, whatever its rank."""

    solver: Literal["multiplicative", "robust"] = Field(
        default="robust",
        description="multiplicative: ridge regression, winner-take-all and the multiplicative update, as published; "
        "robust: exact block coordinate descent on the same problem, whose error never rises",
    )
    sparsity: float = Field(
        default=0.01, gt=0, le=1, description="share p of the neurons that each feature keeps: ceil(p d) of them"
    )
    iterations: int = Field(default=500, ge=1, description="iterations, at most")
    patience: int = Field(
        default=20,
        ge=1,
        description="multiplicative: stop after this many iterations without a new best; robust: iterations over "
        "which progress is judged",
    )
    tolerance: float = Field(
        default=1e-5,
        ge=0,
        description="multiplicative: decrease of the squared error, in squared units of the activations, that makes a "
        "new best; robust: stop when the squared error fell by less than this share of itself, and the features kept "
        "their neurons",
    )
    memory_gb: float = Field(
        default=4.0,
        ge=0,
        description="activations are kept in memory up to this size and read anew in every iteration beyond it; the "
        "coefficients, 4 n k bytes, are always kept",
    )


class Settings(SolverSettings):
    """Settings of semi-NMF. The paper takes 100 to 400 features and p = 0.01, or 0.05 for GPT-2 small."""

    n_features: int = Field(default=100, ge=1, description="features k")
    initialisation: Initialisation = Field(
        default="random",
        description="of the coefficients. random: uniform in [0, 1]; kmeans: cluster indicators after 15 Lloyd "
        "iterations; kmeans_offset: the same plus 0.2 (Ding et al. 2010); svd: right singular vectors cut at zero, "
        "whatever their sign; svd_resolved: the same with the sign that keeps more",
    )
