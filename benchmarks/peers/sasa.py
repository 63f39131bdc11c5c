"""The published training step of SASA, written anew from its formulas: dense codes, a mask, automatic differentiation.

The weights are kept as in its code, encoder (d, F) and decoder (F, d). Their rows and columns are scaled to unit norm
before each step, tokens are standardised and restored, the error is that of the restored tokens, and the penalty is 100
times the mean nuclear norm of decoder blocks by way of the eigenvalues of their Gram matrices. No group is dead within
the steps that are timed, so that the auxiliary loss is zero.
"""

import torch
from torch import Tensor

PENALTY = 100.0
LEARNING_RATE = 2e-4
CLIP_NORM = 1.0
EPSILON = 1e-5


class Training:
    """Weights and optimiser; `decoder` (F, d) is where both matrices start."""

    def __init__(self, decoder: Tensor, group_size: int, active_groups: int) -> None:
        F, d = decoder.shape
        self.group_size, self.active_groups = group_size, active_groups
        self.W_enc = torch.nn.Parameter(decoder.T.clone().contiguous())
        self.W_dec = torch.nn.Parameter(decoder.clone())
        self.b_enc = torch.nn.Parameter(torch.zeros(F))
        self.b_dec = torch.nn.Parameter(torch.zeros(d))
        self.parameters = [self.W_enc, self.W_dec, self.b_enc, self.b_dec]
        self.optimiser = torch.optim.Adam(self.parameters, lr=LEARNING_RATE)

    def loss(self, x: Tensor) -> Tensor:
        """Loss of tokens (B, d)."""
        mean, deviation = x.mean(dim=1, keepdim=True), x.std(dim=1, keepdim=True)
        z = (x - mean) / (deviation + EPSILON)
        codes = (z - self.b_dec) @ self.W_enc + self.b_enc
        grouped = codes.reshape(len(x), -1, self.group_size)
        chosen = grouped.norm(dim=2).topk(self.active_groups, dim=1).indices
        mask = torch.zeros(grouped.shape[:2]).scatter_(1, chosen, 1.0)
        active = (grouped * mask[:, :, None]).reshape(len(x), -1)
        rebuilt = (active @ self.W_dec + self.b_dec) * deviation + mean
        blocks = self.W_dec.reshape(-1, self.group_size, self.W_dec.shape[1])
        squares = torch.linalg.eigvalsh(blocks @ blocks.mT)
        return (rebuilt - x).square().sum(dim=1).mean() + PENALTY * squares.clamp_min(0).sqrt().sum(dim=1).mean()

    def step(self, x: Tensor) -> float:
        """Learn from tokens (B, d) and return their loss."""
        with torch.no_grad():
            self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)
            self.W_enc /= self.W_enc.norm(dim=0, keepdim=True)
        self.optimiser.zero_grad()
        loss = self.loss(x)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimiser.step()
        return float(loss.detach())
