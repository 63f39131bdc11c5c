"""A binary autoencoder, or several independent ones side by side, in training."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.batches import Batch
from unweave.methods.bae.model import Loss, Parameters, initial_parameters, loss_and_gradients
from unweave.methods.bae.settings import Settings
from unweave.methods.training import Objective

CHUNK_ELEMENTS = 2**17
"""Codes of one batch that are worked on at once on a processor: a few such arrays fit into its cache."""


class _Each(Mapping[str, Tensor]):
    """Named scalars: the mean of each of some values (G,), and each value. Made when read, which few steps are."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        self._values = values

    @override
    def __getitem__(self, name: str) -> Tensor:
        name, _, group = name.partition(".")
        return self._values[name][int(group)] if group else self._values[name].mean()

    @override
    def __iter__(self) -> Iterator[str]:
        for name, values in self._values.items():
            yield name
            yield from (f"{name}.{group}" for group in range(len(values)))

    @override
    def __len__(self) -> int:
        return sum(1 + len(values) for values in self._values.values())


class BinaryAutoencoders(Objective[Batch]):
    """G autoencoders of the same initialisation, in rows (B, G * d) that hold the activations of each side by side.

    Each sees its activations divided by its own scale. The curves are those of the only one, or of the mean of all and,
    as `loss.0`, `loss.1`, ..., of each.

    Parameters
    ----------
    d
        Width of the activations of one autoencoder.
    scales
        (G,) on the device of the training.
    steps
        Steps of the training, shares of which the settings speak of.
    """

    def __init__(self, d: int, scales: Tensor, settings: Settings, seed: int, steps: int) -> None:
        groups, width = len(scales), settings.expansion * d
        self._groups, self._lead = groups, (groups,) if groups > 1 else ()
        initial = initial_parameters(d, width, seed, encoder_bias=settings.encoder_bias)
        copies = [tensor.to(scales.device).expand(*self._lead, *tensor.shape) for tensor in initial]
        self._shaped = Parameters(*(tensor.clone(memory_format=torch.contiguous_format) for tensor in copies))
        # Biases are flat, so that whatever the training loop does to matrices alone is not done to them.
        learned = {
            name: tensor.view(-1) if name.endswith("bias") else tensor
            for name, tensor in self._shaped._asdict().items()
        }
        if not settings.encoder_bias:
            del learned["encoder_bias"]
        super().__init__(learned)
        self._inverse_scales = None if settings.inputs == "raw" else (1 / scales).reshape(*self._lead, 1, 1)
        self._loss = Loss(
            gradient=settings.gradient,
            bits=settings.training_bits,
            summed=settings.reconstruction == "sum",
            entropy_threshold=settings.entropy_threshold,
            covariance=settings.covariance_weight > 0,
            dtype=getattr(torch, settings.precision),
        )
        self._width = width
        mean = settings.penalties == "mean"
        self._entropy_weight = settings.entropy_weight / (width if mean else 1)
        self._covariance_weight = settings.covariance_weight / (max(width * (width - 1), 1) if mean else 1)
        self._entropy_from = settings.entropy_start * steps
        self._covariance_from = settings.covariance_start * steps

    @property
    def trained(self) -> list[Parameters]:
        """Parameters of each autoencoder, as views."""
        if not self._lead:
            return [self._shaped]
        return [Parameters(*each) for each in zip(*(tensor.unbind() for tensor in self._shaped), strict=True)]

    @override
    def backward(self, batch: Batch, step: int) -> Mapping[str, Tensor | float]:
        x = batch.x
        if self._lead:
            x = x.view(len(x), self._groups, -1).transpose(0, 1)
        if self._inverse_scales is not None:
            x = x * self._inverse_scales
        weights = (
            self._entropy_weight if step >= self._entropy_from else 0.0,
            self._covariance_weight if step >= self._covariance_from else 0.0,
        )
        if not self._lead:
            terms, gradients = loss_and_gradients(self._shaped, x, self._loss, *weights)
        else:
            # Few of them at a time, so that their pre-activations and codes stay in the cache.
            chunk = max(1, CHUNK_ELEMENTS // (x.shape[1] * self._width)) if x.device.type == "cpu" else self._groups
            pieces = [
                loss_and_gradients(
                    Parameters(*(tensor[start : start + chunk] for tensor in self._shaped)),
                    x[start : start + chunk],
                    self._loss,
                    *weights,
                )
                for start in range(0, self._groups, chunk)
            ]
            terms = {name: torch.cat([piece[0][name] for piece in pieces]) for name in pieces[0][0]}
            gradients = Parameters(*(torch.cat(each) for each in zip(*(piece[1] for piece in pieces), strict=True)))
        for name, parameter in self.parameters.items():
            parameter.grad = getattr(gradients, name).reshape(parameter.shape)
        return terms if not self._lead else _Each(terms)
