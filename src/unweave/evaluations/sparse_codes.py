"""Reconstructions from only the k strongest codes of each token."""

from collections.abc import Iterable, Iterator

from torch import Tensor

from unweave.methods.coefficients import keep_top_k
from unweave.methods.dictionary import Dictionary


def sparsities(ks: Iterable[int], n_features: int) -> list[int]:
    """Distinct ascending k of `ks` below F, then F itself."""
    return sorted({k for k in ks if k < n_features} | {n_features})


def sparse_reconstructions(dictionary: Dictionary, x: Tensor, ks: Iterable[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Kept codes (n, F) and the reconstruction (n, d) of `x` (n, d), for each k of `ks`.

    Per token the k codes with the largest |code| * ||atom|| are kept (ICA Lens, sparse reconstruction). Rows of a
    dictionary that normalises them are given their own scale back. k = 0 decodes the center alone, k = F everything.
    """
    codes = dictionary.encode(x)
    atom_norms = dictionary.atoms.norm(dim=1)
    for k in ks:
        kept = keep_top_k(codes, k, atom_norms)
        yield kept, dictionary.decode(kept, like=x)
