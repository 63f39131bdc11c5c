"""The published training of a binary autoencoder, written anew from its formulas: modules, autograd, Adam.

The step function's backward pass is g (1 - g) of the incoming gradient g, the covariance is that of `torch.cov` with
its whole F x F graph, three numbers are read back in every step, and rows come one by one from a `DataLoader`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

ENTROPY_WEIGHT = COVARIANCE_WEIGHT = 1e-7
LEARNING_RATE = 5e-4
EPSILON = 1e-10


class Step(torch.autograd.Function):
    """1 where x > 0, else 0."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        """Codes of pre-activations."""
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        """Return what stands in for the gradient."""
        return gradients[0] * (1 - gradients[0])


class Autoencoder(nn.Module):
    """Two linear layers with biases and the step function between them."""

    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(d, width), nn.Linear(width, d)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction (B, d) and codes (B, F)."""
        codes: Tensor = Step.apply(self.encoder(x))
        return self.decoder(codes), codes


def loss_of(model: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total loss of a batch (B, d), and its mean squared error, entropy and covariance."""
    rebuilt, codes = model(x)
    error = nn.functional.mse_loss(rebuilt, x)
    p = codes.mean(0)
    entropy = -(p * torch.log2(p + EPSILON) + (1 - p) * torch.log2(1 - p + EPSILON)).sum()
    matrix = torch.cov(codes.T)
    covariance = matrix.abs().sum() - matrix.diagonal().abs().sum()
    return error + ENTROPY_WEIGHT * entropy + COVARIANCE_WEIGHT * covariance, error, entropy, covariance


class Training:
    """A model and its optimiser."""

    def __init__(self, d: int, width: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = Autoencoder(d, width)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def step(self, x: Tensor) -> tuple[float, float, float]:
        """Learn from a batch (B, d)."""
        self.optimiser.zero_grad()
        total, error, entropy, covariance = loss_of(self.model, x)
        total.backward()
        self.optimiser.step()
        return error.item(), entropy.item(), covariance.item()


def train(x: Tensor, width: int, batch_size: int, epochs: int) -> Autoencoder:
    """Train on rows x (n, d)."""
    training = Training(x.shape[1], width)
    for _ in range(epochs):
        for (batch,) in DataLoader(TensorDataset(x), batch_size=batch_size, shuffle=True):
            training.step(batch)
    return training.model
