"""Subspace-Aware SAE (arXiv 2606.06333): a sparse autoencoder whose features are blocks of codes."""

from unweave.methods.sasa.estimate import fit
from unweave.methods.sasa.settings import Settings

__all__ = ["Settings", "fit"]
