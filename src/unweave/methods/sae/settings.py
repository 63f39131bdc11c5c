"""Settings of sparse autoencoders: one block for training, one for the gate and the loss that comes with it."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unweave.config import Strict
from unweave.methods.training import TrainingSettings


class _Revived(Strict):
    """Dead latents are revived by an auxiliary loss (Gao et al. 2024, arXiv 2406.04093, A.2)."""

    k: int = Field(default=32, ge=1, description="active latents of a token (on average, for batchtopk)")
    aux_coefficient: float = Field(
        default=1 / 32, ge=0, description="of the loss by which dead latents rebuild the residual; 0 turns it off"
    )
    aux_k: int | None = Field(
        default=None, ge=1, description="dead latents that rebuild the residual of a token; null for half the width"
    )
    aux_scale: Literal["loss", "residual"] = Field(
        default="loss",
        description="the auxiliary loss is a squared error like the loss itself (the paper), or is divided by the "
        "variance of the residual (the paper's code, dictionary_learning)",
    )


class TopK(_Revived):
    """The k largest pre-activations of a token, as far as they are positive (Gao et al. 2024)."""

    kind: Literal["topk"] = "topk"
    signed: bool = Field(
        default=False, description="rank by magnitude and keep the sign (AbsTopK, Zhu et al. 2025, arXiv 2510.00404)"
    )


class BatchTopK(_Revived):
    """The B k largest pre-activations of a batch of B tokens (Bussmann et al. 2024, arXiv 2412.06410).

    After training a latent is active above one threshold, the mean over batches of their smallest active value.
    """

    kind: Literal["batchtopk"] = "batchtopk"
    prefixes: tuple[float, ...] = Field(
        default=(),
        description="shares of the latents whose prefix must rebuild the activation too (Matryoshka, Bussmann et al. "
        "2025, arXiv 2503.17547); ascending and below 1, for the whole is always there; empty for none",
    )
    threshold_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="weight of a new batch in a running mean of the threshold (0.01 in sae-lens, 0.001 in "
        "dictionary_learning), which lags behind in a short training; null takes the mean over 32 batches after it",
    )

    @model_validator(mode="after")
    def _prefixes_grow(self) -> Self:
        bounds = (0.0, *self.prefixes, 1.0)
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("prefixes must be ascending shares between 0 and 1")
        return self


class ReLU(Strict):
    """Positive pre-activations, kept few by an L1 penalty."""

    kind: Literal["relu"] = "relu"
    l1_coefficient: float = Field(default=5.0, ge=0, description="of the penalty per token")
    l1_weights: Literal["decoder_norm", "none"] = Field(
        default="decoder_norm",
        description="each code counts times the norm of its atom (Anthropic's update of April 2024), or as it is, "
        "which a free decoder evades by growing",
    )
    sparsity_warmup_steps: int = Field(default=0, ge=0, description="steps in which the penalty grows from 0")
    standardised: bool = Field(
        default=False,
        description="the strength of a latent is its code minus its mean, over its standard deviation plus 1e-6 "
        "(`SAE_rescale` of the Binary Autoencoder, arXiv 2506.20990); the codes themselves stay as they are",
    )


class JumpReLU(Strict):
    """Pre-activations above a learned threshold each (Rajamanoharan et al. 2024, arXiv 2407.14435)."""

    kind: Literal["jumprelu"] = "jumprelu"
    l0_coefficient: float = Field(default=1.0, ge=0, description="of the penalty on the number of active latents")
    target_l0: float | None = Field(
        default=None,
        gt=0,
        description="penalise (L0 / target - 1)^2 of the batch (dictionary_learning) instead of L0; null for L0",
    )
    initial_threshold: float = Field(default=0.001, gt=0, description="of every latent")
    bandwidth: float = Field(
        default=0.001, gt=0, description="width of the window around a threshold whose tokens move it"
    )
    sparsity_warmup_steps: int = Field(default=0, ge=0, description="steps in which the penalty grows from 0")


class Gated(Strict):
    """One path decides what is active, another how strongly (Rajamanoharan et al. 2024, arXiv 2404.16014)."""

    kind: Literal["gated"] = "gated"
    l1_coefficient: float = Field(default=5.0, ge=0, description="of the L1 penalty on the gate's pre-activations")
    sparsity_warmup_steps: int = Field(default=0, ge=0, description="steps in which the penalty grows from 0")


Gate = Annotated[TopK | BatchTopK | ReLU | JumpReLU | Gated, Field(discriminator="kind")]


class Settings(TrainingSettings):
    """Settings of a sparse autoencoder, or of a transcoder with the same gates.

    Where a setting is null, it is what the paper of the gate does.
    """

    gate: Gate = Field(default=TopK(), description="what makes codes sparse, and the loss that comes with it")
    expansion: float = Field(default=8.0, gt=0, description="latents per dimension of what is read")
    n_features: int | None = Field(default=None, ge=1, description="number of latents instead; null for `expansion`")
    target: bool = Field(
        default=False, description="rebuild the target activations (another site) from those that are read: transcoder"
    )
    trained: bool = Field(
        default=True, description="false leaves the initial weights as they are: a control of equal L0; needs topk"
    )
    input_scaling: Literal["none", "expected_average_only_in", "layer_norm"] = Field(
        default="expected_average_only_in",
        description="rows are taken as they are, times one number that makes their mean norm sqrt(d) (undone in the "
        "weights that are saved), or standardised one by one",
    )
    unit_decoder: bool | None = Field(
        default=None,
        description="atoms keep unit norm in training; if not, latents are ranked by their code times the norm of "
        "their atom. Null for true, except for relu",
    )
    subtract_b_dec: bool | None = Field(
        default=None,
        description="the encoder reads activations minus the decoder's bias. Null for true, except for relu, jumprelu "
        "and transcoders",
    )
    initial_b_dec: Literal["zero", "mean", "geometric_median"] | None = Field(
        default=None,
        description="the decoder's bias at first, over the rows of the first batch. Null for geometric_median where "
        "the encoder subtracts it, else zero",
    )
    initial_norm: float = Field(default=0.1, gt=0, description="of the atoms at first, where they are free")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of the product that finds the active latents; their codes are computed in float32 either way",
    )
    dead_after_tokens: int = Field(
        default=10_000_000, ge=1, description="a latent that was not active on so many tokens counts as dead"
    )
    learning_rate: float = Field(default=4e-4, gt=0, description="of Adam, at its highest")
    clip_norm: float | None = Field(default=1.0, gt=0, description="largest global norm of the gradient")

    @model_validator(mode="after")
    def _an_untrained_gate_knows_its_l0(self) -> Self:
        if not self.trained and not isinstance(self.gate, TopK):
            raise ValueError("trained: false needs a topk gate: the others find their L0 in training")
        return self

    @model_validator(mode="after")
    def _a_target_has_its_own_scale(self) -> Self:
        if self.target and self.input_scaling == "layer_norm":
            raise ValueError("input_scaling: layer_norm cannot be undone at another site: choose another with target")
        if self.target and self.subtract_b_dec:
            raise ValueError("subtract_b_dec: with target, b_dec is of another space than what the encoder reads")
        return self

    @property
    def unit_atoms(self) -> bool:
        """`unit_decoder`, resolved."""
        return not isinstance(self.gate, ReLU) if self.unit_decoder is None else self.unit_decoder

    @property
    def centred(self) -> bool:
        """`subtract_b_dec`, resolved."""
        if self.subtract_b_dec is not None:
            return self.subtract_b_dec
        return not self.target and not isinstance(self.gate, ReLU | JumpReLU)

    @property
    def b_dec_start(self) -> Literal["zero", "mean", "geometric_median"]:
        """`initial_b_dec`, resolved."""
        return self.initial_b_dec or ("geometric_median" if self.centred else "zero")
