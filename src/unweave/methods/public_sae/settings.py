"""Which published SAE, and what is known about it better than its own configuration says."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unweave.config import Strict

Architecture = Literal["standard", "topk", "abstopk", "jumprelu", "gated"]
ARCHITECTURES: tuple[str, ...] = ("standard", "topk", "abstopk", "jumprelu", "gated")


class Correction(Strict):
    """Facts that replace those of a published configuration that is known to be wrong."""

    architecture: Architecture | None = Field(default=None, description="gate of the encoder")
    k: Annotated[int, Field(ge=1)] | None = Field(default=None, description="codes that a topk gate lets through")
    normalize_activations: Literal["none", "expected_average_only_in", "layer_norm", "constant_norm_rescale"] | None = (
        Field(default=None, description="what is done to a row first, in sae-lens' words")
    )
    apply_b_dec_to_input: bool | None = Field(default=None, description="whether rows lose the decoder's bias first")


class Settings(Strict):
    """Settings of a public SAE: either `release` and `sae_id`, or `folder`."""

    release: str | None = Field(
        default=None, description="a release of sae-lens' directory; needs the network and the package sae-lens"
    )
    sae_id: str | list[str] | None = Field(
        default=None,
        description="which SAE of the release: one id, in which {layer} stands for the block that the activations are "
        "from, or one id for each block from block 0 on",
    )
    folder: str | None = Field(
        default=None,
        description="folder with cfg.json and sae_weights.safetensors as sae-lens saves them, absolute or relative to "
        "the project; {layer} stands for the block",
    )
    correction: Correction = Field(
        default=Correction(), description="facts that replace those of the published configuration"
    )
    norm_scaling_factor: float | None = Field(
        default=None,
        gt=0,
        description="what rows are multiplied by where the normalisation is expected_average_only_in and the release "
        "does not say; by default sqrt(d) / mean norm of the activations",
    )
    unit_atoms: bool = Field(
        default=True, description="scale every decoder row to unit norm and its codes by the norm that it had"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.release is None) == (self.folder is None):
            raise ValueError("name either `release` and `sae_id`, or `folder`")
        if (self.release is None) != (self.sae_id is None):
            raise ValueError("`sae_id` goes with `release`: name both or neither")
        return self

    @property
    def needs_network(self) -> bool:
        """Whether fitting downloads something."""
        return self.release is not None
