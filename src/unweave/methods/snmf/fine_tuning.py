"""Joint fine-tuning of a chain of factorisations A = Z_L Y_L ... Y_1 Y_0 (SNMF, recursive factorisation).

The authors descend the mean squared error with Adam and no constraint, so that coefficients become negative and
features lose their sparsity. Projected after every step instead, both constraints hold. Gradients are those of all
tokens, block by block and without the reconstruction: with H = Y_L ... Y_0 they need Z^T A and Z^T Z only.
"""

from collections.abc import Mapping
from functools import reduce
from itertools import repeat

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.checkpoint import Checkpoint
from unweave.methods.snmf.features import strongest
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.training import Objective, TrainingSettings, train


def chained(links: list[Tensor], k: int) -> Tensor:
    """Y_L ... Y_1 (k_L, k_0) of the links Y_1, ..., Y_L; the identity where there are none."""
    first = torch.eye(k, dtype=links[0].dtype, device=links[0].device) if links else torch.eye(k)
    return reduce(lambda product, link: link @ product, links, first)


class ChainObjective(Objective[None]):
    """Mean squared error of the chain over all tokens and neurons.

    Parameters: `atoms` Z_L^T (k_L, d), `link_1` ... `link_L` (k_l, k_(l-1)) and `coefficients` Y_0 (k_0, n).
    With `s`, links and coefficients stay non-negative and each atom keeps its s largest entries.
    """

    def __init__(
        self, neurons: NeuronBlocks, atoms: Tensor, links: list[Tensor], coefficients: Tensor, s: int | None
    ) -> None:
        named = {f"link_{level}": link for level, link in enumerate(links, start=1)}
        parameters = {"atoms": atoms, **named, "coefficients": coefficients}
        super().__init__({name: tensor.detach().clone() for name, tensor in parameters.items()})
        for tensor in self.parameters.values():
            tensor.grad = torch.zeros_like(tensor)
        self.neurons = neurons
        self.s = s

    @property
    def links(self) -> list[Tensor]:
        """Y_1, ..., Y_L."""
        return [self.parameters[f"link_{level}"] for level in range(1, len(self.parameters) - 1)]

    @torch.no_grad()
    def error(self) -> float:
        """Mean squared error now."""
        return float(self.backward(None, 0)["loss"])

    @override
    @torch.no_grad()
    def backward(self, batch: None, step: int) -> Mapping[str, Tensor | float]:
        atoms, coefficients = self.parameters["atoms"], self.parameters["coefficients"]
        links = self.links
        chain = chained(links, len(coefficients)).to(coefficients)
        gram = atoms @ atoms.T
        scale = 2 / (self.neurons.n * self.neurons.d)
        chain_grad = torch.zeros_like(chain, dtype=torch.float64)
        products = torch.zeros_like(atoms, dtype=torch.float64)
        moments = torch.zeros_like(gram, dtype=torch.float64)
        fitted = 0.0
        start = 0
        coefficients_grad = coefficients.grad
        assert coefficients_grad is not None
        for x_db in self.neurons:
            stop = start + x_db.shape[1]
            y_0b = coefficients[:, start:stop]
            h_b = chain @ y_0b
            target = atoms @ x_db
            h_grad = gram @ h_b - target
            fitted += float((h_b * (h_grad - target)).sum(dtype=torch.float64))
            coefficients_grad[:, start:stop] = scale * (chain.T @ h_grad)
            chain_grad += h_grad @ y_0b.T
            products += h_b @ x_db.T
            moments += h_b @ h_b.T
            start = stop
        atoms.grad = (scale * (moments @ atoms.double() - products)).float()
        for level, link in enumerate(links):
            above, below = chained(links[level + 1 :], len(link)), chained(links[:level], len(coefficients))
            link.grad = (scale * (above.double().T @ chain_grad @ below.double().T)).float().contiguous()
        return {"loss": (self.neurons.squared_norm + fitted) * scale / 2}

    @override
    @torch.no_grad()
    def after_update(self, step: int) -> None:
        if self.s is None:
            return
        for name, tensor in self.parameters.items():
            if name == "atoms":
                tensor.mul_(strongest(tensor, self.s))
            else:
                tensor.clamp_min_(0)


def fine_tune(
    objective: ChainObjective, iterations: int, learning_rate: float, checkpoint: Checkpoint
) -> dict[str, list[float]]:
    """Run Adam on all factors at once for `iterations`, and return the curve of the mean squared error.

    Raises
    ------
    UnweaveError
        if the error becomes infinite.
    """
    n = objective.neurons.n
    settings = TrainingSettings(
        tokens=iterations * n, batch_size=n, learning_rate=learning_rate, decay_fraction=0, weight_decay=0
    )
    curves, _ = train(
        objective, lambda _: repeat(None), settings, title="semi-NMF, fine-tuning of all levels", checkpoint=checkpoint
    )
    return curves
