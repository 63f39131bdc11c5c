"""Sparse autoencoders that others trained and published, encoded with their own normalisation."""

from unweave.methods.public_sae.estimate import fit
from unweave.methods.public_sae.settings import Settings

__all__ = ["Settings", "fit"]
