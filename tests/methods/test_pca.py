import numpy as np
import torch
from sklearn.decomposition import PCA

from unweave.activations.preprocessing import row_normalised
from unweave.methods import pca


def test_components_and_variances_are_those_of_scikit_learn(planted, cpu):
    for row_norm, x in ((False, planted.x), (True, row_normalised(planted.x))):
        fitted = pca.fit(planted.activations, pca.Settings(row_norm=row_norm), 0, cpu)
        peer = PCA().fit(x.double().numpy())
        cosines = (fitted.dictionary.readers.double() @ torch.from_numpy(peer.components_).T).abs()
        torch.testing.assert_close(cosines, torch.eye(6, dtype=torch.float64), atol=1e-5, rtol=0)
        np.testing.assert_allclose(
            fitted.diagnostics["explained_variance_ratio"], peer.explained_variance_ratio_, rtol=1e-3
        )


def test_codes_are_uncorrelated_with_descending_variance(planted, cpu):
    fitted = pca.fit(planted.activations, pca.Settings(), 0, cpu)
    codes = fitted.dictionary.encode(planted.x).double()
    covariance = codes.T @ codes / len(codes)
    variances = torch.tensor(fitted.diagnostics["explained_variance"], dtype=torch.float64)
    torch.testing.assert_close(covariance, variances.diag(), atol=1e-4, rtol=1e-5)
    assert variances.tolist() == sorted(variances.tolist(), reverse=True)


def test_the_first_k_components_reconstruct_better_than_any_other_k_found_by_chance(planted, cpu):
    dictionary = pca.fit(planted.activations, pca.Settings(), 0, cpu).dictionary
    centred = planted.x - dictionary.tensors["center"]
    kept = (centred @ dictionary.readers[:2].T).square().sum()
    for seed in range(20):
        other, _ = torch.linalg.qr(torch.randn(6, 2, generator=torch.Generator().manual_seed(seed)))
        assert (centred @ other).square().sum() < kept


def test_rank_deficient_rows_still_have_a_full_basis(in_memory, cpu):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 2, generator=generator) @ torch.randn(2, 5, generator=generator)
    fitted = pca.fit(in_memory(x), pca.Settings(), 0, cpu)
    assert min(fitted.diagnostics["explained_variance"]) >= 0
    readers = fitted.dictionary.readers
    torch.testing.assert_close(readers @ readers.T, torch.eye(5), atol=1e-6, rtol=0)
