"""Settings of the binary autoencoder, of the paper's released form and of ours."""

from typing import Literal

from pydantic import Field

from unweave.methods.bae.step_function import Gradient
from unweave.methods.training import TrainingSettings


class Settings(TrainingSettings):
    """Settings of the binary autoencoder.

    The defaults are those of the published command line, apart from its number of epochs.
    """

    batch_size: int = Field(
        default=512, ge=2, description="tokens of one step, over which entropy and covariance are taken"
    )
    learning_rate: float = Field(default=5e-4, gt=0, description="of Adam, at its highest")
    decay_fraction: float = Field(
        default=0.0, ge=0, le=1, description="last share of the steps, in which the learning rate falls linearly to 0"
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="passes over the training part; training ends after them or after `tokens`, whichever comes first; "
        "null leaves it to `tokens`",
    )
    validation_fraction: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="last share of the stored rows, which is kept out of training and measured in the diagnostics; "
        "with 0 the training rows are measured",
    )
    expansion: int = Field(default=4, ge=1, description="latent width, as a multiple of the width of the activations")
    encoder_bias: bool = Field(
        default=True, description="a bias in the encoder, as in the released code; the paper's formula has none"
    )
    inputs: Literal["raw", "unit_variance"] = Field(
        default="raw",
        description="activations as they are, or divided by one scalar so that their variance is 1 per coordinate, "
        "which makes the weights of the penalties comparable between layers",
    )
    gradient: Gradient = Field(
        default="released",
        description="what stands in for the derivative of the step function, with g the incoming gradient: g (ste), "
        "g(1 - g) (released), g x (1 - x) (literal, equation 6), g s(x)(1 - s(x)) with s the sigmoid (sigmoid), "
        "g where |x| <= 1 (clip), g (1 - tanh(x)^2) (tanh)",
    )
    reconstruction: Literal["mean", "sum"] = Field(
        default="mean",
        description="squared error averaged over coordinates (released code) or summed over them (paper); both are "
        "averaged over tokens",
    )
    entropy_weight: float = Field(default=1e-7, ge=0, description="of the entropy of the codes in bits")
    covariance_weight: float = Field(
        default=1e-7, ge=0, description="of the sum of the absolute covariances between codes"
    )
    penalties: Literal["sum", "mean"] = Field(
        default="sum",
        description="entropy and covariance summed over channels and ordered pairs of channels (released code), or "
        "averaged over them, which makes their weights comparable between widths",
    )
    entropy_start: float = Field(
        default=0.25, ge=0, le=1, description="share of the steps after which the entropy penalty is switched on"
    )
    entropy_threshold: float = Field(
        default=0.0, ge=0, description="entropy in bits below which it is no longer penalised"
    )
    covariance_start: float = Field(
        default=0.0, ge=0, le=1, description="share of the steps after which the covariance penalty is switched on"
    )
    decode_bits: Literal[1, 2, 4, 8, 16] = Field(
        default=1,
        description="bits of each active code that the decoder sees: 1 is the binary autoencoder; with m bits it sees "
        "the sigmoid of the pre-activation, rounded to 2^m - 1 steps",
    )
    refit_decoder: bool = Field(
        default=False,
        description="train with one bit, and replace the decoder in the end by the ridge regression of the activations "
        "on the codes with decode_bits bits",
    )
    refit_ridge: float = Field(
        default=1e-3, gt=0, description="ridge of that regression, relative to the mean variance of a code"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the matrix products with activations and weights in training"
    )

    @property
    def training_bits(self) -> int:
        """Bits of an active code that the decoder sees in training."""
        return 1 if self.refit_decoder else self.decode_bits

    def steps_of(self, batches_per_epoch: int) -> int:
        """Return the number of steps, given the batches of one pass over the training part."""
        return self.steps if self.epochs is None else min(self.steps, self.epochs * batches_per_epoch)
