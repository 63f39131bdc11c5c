"""Sparse autoencoders and transcoders: ReLU, TopK, BatchTopK, Matryoshka, JumpReLU and gated, in one training loop."""

from unweave.methods.sae.estimate import fit
from unweave.methods.sae.settings import Settings

__all__ = ["Settings", "fit"]
