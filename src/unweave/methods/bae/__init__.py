"""Binary autoencoders (arXiv 2509.20997): one-bit codes whose entropy over a minibatch is penalised."""

from unweave.methods.bae.batched import fit_many
from unweave.methods.bae.estimate import fit
from unweave.methods.bae.settings import Settings

__all__ = ["Settings", "fit", "fit_many"]
