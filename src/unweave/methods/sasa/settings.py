"""Settings of the Subspace-Aware SAE, for the objective of the paper and for that of the published code."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unweave.methods.training import TrainingSettings


class Settings(TrainingSettings):
    """Settings of a Subspace-Aware SAE (SASA).

    Three published objectives are three sets of values. The paper's: penalty "product". The paper's as it was trained:
    penalty "none" and weight_decay 1e-3, which descends the same norm where both factors are balanced. The published
    code's: penalty "decoder" with penalty_weight 100, unit rows of both matrices, both biases and auxiliary
    "dead_columns".
    """

    tokens: int = Field(default=150_000_000, ge=1, description="tokens seen in training, counting repetitions")
    learning_rate: float = Field(default=2e-4, gt=0, description="of Adam, at its highest")
    warmup_steps: int = Field(default=1000, ge=0, description="steps of linear warm-up from 0")
    clip_norm: float | None = Field(default=1.0, gt=0, description="largest global norm of the gradient")

    groups: int = Field(default=2048, ge=1, description="number of groups K")
    group_size: int = Field(default=6, ge=1, description="codes of a group r, the largest dimension of a feature")
    active_groups: int = Field(default=10, ge=1, description="groups s that are active on a token")
    gate: Literal["top_s", "batch_top_s"] = Field(
        default="top_s",
        description="active are the s groups of largest norm of each token; or s times as many as a batch has tokens, "
        "of the whole batch, and at inference all above the running mean of the smallest norm that was active",
    )
    threshold_rate: float = Field(
        default=0.01, gt=0, le=1, description="weight of each batch in that running mean; only for batch_top_s"
    )
    layer_norm: bool = Field(
        default=True, description="each token is standardised over its coordinates, and decoding undoes it"
    )
    biases: Literal["none", "decoder", "both"] = Field(
        default="decoder",
        description="none; one that is subtracted before encoding and added after decoding; or also one of the codes",
    )
    initial_bias: Literal["zero", "geometric_median"] = Field(
        default="zero",
        description="the decoder's bias at first; in a training of a few hundred steps Adam cannot bring it from zero "
        "to where activations lie, and all tokens spend their groups on that: then the geometric median of the first "
        "batch, where sparse autoencoders start",
    )
    loss_scale: Literal["raw", "normalised"] = Field(
        default="raw", description="whether squared errors are those of the activations or of the standardised ones"
    )
    initial_norm: float = Field(
        default=1.0,
        gt=0,
        description="norm of all reading and writing directions at the start; a tenth leaves fewer features in several "
        "groups, but then penalty_ratio means a hundred times the weight",
    )
    unit_encoder_rows: bool = Field(default=False, description="every step scales the reading directions to unit norm")
    unit_decoder_rows: bool = Field(default=False, description="every step scales the writing directions to unit norm")

    penalty: Literal["product", "decoder", "none"] = Field(
        default="product",
        description="nuclear norm of the map of each group, encoder times decoder, summed over groups; or of its "
        "decoder, averaged over groups",
    )
    penalty_weight: float | None = Field(
        default=None, gt=0, description="weight of the penalty; null lets penalty_ratio fix it"
    )
    penalty_ratio: float = Field(
        default=0.03, gt=0, description="ratio of penalty to reconstruction error on the first batch"
    )
    penalty_every: int = Field(
        default=1, ge=1, description="the penalty acts in every so many steps, with as many times its weight"
    )

    auxiliary: Literal["dead_groups", "dead_columns", "none"] = Field(
        default="dead_groups",
        description="dead groups encode and rebuild what the others leave; or dead columns rebuild it from the codes "
        "that they have on the token anyway",
    )
    auxiliary_weight: float = Field(default=1.0, ge=0, description="weight of the auxiliary loss")
    auxiliary_units: int = Field(
        default=512, ge=1, description="dead groups (or columns, d/2 at most) that take part on a token"
    )
    auxiliary_offset: bool = Field(
        default=False,
        description="what dead columns rebuild gets the decoder bias and the token's mean, as in the first code",
    )
    dead_window: int = Field(
        default=1000,
        ge=1,
        description="a group is dead after it was silent in so many tokens (dead_groups) or steps (dead_columns)",
    )
    dead_frequency: float = Field(
        default=1e-4, ge=0, lt=1, description="share of the tokens of a window up to which a group counts as silent"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of the product that finds the active groups; their codes and all gradients are float32",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.active_groups > self.groups:
            raise ValueError(f"active_groups is {self.active_groups}, but there are only {self.groups} groups")
        if self.auxiliary_offset and self.auxiliary != "dead_columns":
            raise ValueError("auxiliary_offset is a matter of dead_columns alone")
        if self.initial_bias != "zero" and self.biases == "none":
            raise ValueError("initial_bias: biases is none, so that there is no bias to begin with")
        return self

    @property
    def features(self) -> int:
        """Columns F = K r of the dictionary."""
        return self.groups * self.group_size
