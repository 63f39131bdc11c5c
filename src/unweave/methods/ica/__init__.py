"""Independent component analysis."""

from unweave.methods.ica.estimate import fit
from unweave.methods.ica.settings import Settings

__all__ = ["Settings", "fit"]
