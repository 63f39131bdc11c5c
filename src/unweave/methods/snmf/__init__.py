"""Semi-non-negative matrix factorisation with sparse features (SNMF, arXiv 2506.10920).

The paper's A (d, n) is approximated by Z Y. Here rows are tokens everywhere else, so the features Z^T are (k, d), the
activations are read as blocks x (d, b) of A, and the coefficients Y are kept as blocks y (k, b). n tokens, d neurons,
k features, s neurons of a feature that are not zero.
"""

from unweave.methods.snmf.estimate import fit
from unweave.methods.snmf.settings import Settings

__all__ = ["Settings", "fit"]
