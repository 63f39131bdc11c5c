import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods.kmeans import Settings, fit, lloyd, nearest


@pytest.fixture(scope="module")
def clusters():
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(6, 8, generator=generator)
    label = torch.randint(6, (900,), generator=generator)
    return centres, label, centres[label] + torch.randn(900, 8, generator=generator)


def run(x, k, seed=0, iterations=100):
    return lloyd(lambda: x.split(200), InMemoryActivations(x), k, iterations, seed, "k-means")


def test_iterations_are_those_of_scikit_learn_from_the_same_start(clusters):
    _, _, x = clusters
    start = x[torch.randperm(900, generator=torch.Generator().manual_seed(3))[:6]].numpy()
    for iterations in (1, 4):
        ours = run(x, 6, seed=3, iterations=iterations)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of the iterations that were asked for
            theirs = KMeans(6, init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(x.numpy())
        np.testing.assert_allclose(ours.centroids.numpy(), theirs.cluster_centers_, rtol=1e-4, atol=1e-4)
        assert np.array_equal(ours.assignment.numpy(), theirs.labels_)


def test_planted_centres_are_found_and_the_distance_never_rises(clusters, matched_cosines, cpu):
    centres, _, x = clusters
    fits = [fit(InMemoryActivations(x), Settings(n_features=6), seed, cpu) for seed in range(10)]
    best = min(fits, key=lambda fitted: fitted.history["squared_distance"][-1])
    assert matched_cosines(best.dictionary.atoms, centres).min() > 0.99
    for fitted in fits:
        distances = fitted.history["squared_distance"]
        assert all(after <= before + 1e-4 for before, after in pairwise(distances))
        assert fitted.diagnostics["converged"]
        assert sum(fitted.diagnostics["sizes"]) == 900


def test_a_row_is_decoded_to_its_nearest_centroid(clusters, cpu):
    _, _, x = clusters
    dictionary = fit(InMemoryActivations(x), Settings(n_features=6), 0, cpu).dictionary
    codes = dictionary.encode(x)
    assert dictionary.traits.binary
    assert torch.equal(codes.sum(dim=1), torch.ones(900))
    assert torch.equal(dictionary.decode(codes), dictionary.atoms[torch.cdist(x, dictionary.atoms).argmin(dim=1)])


def test_an_empty_cluster_is_moved_onto_a_random_row():
    x = torch.cat([torch.zeros(50, 2), torch.ones(3, 2) + torch.arange(3)[:, None]])
    clusters = run(x, 3)
    assert clusters.reseeded > 0
    assert clusters.centroids.isfinite().all()


def test_rows_read_in_blocks_of_any_size_give_the_same_clusters(clusters, in_memory, cpu):
    _, _, x = clusters
    one = fit(in_memory(x), Settings(n_features=6, memory_gb=0), 0, cpu)
    other = fit(InMemoryActivations(x), Settings(n_features=6), 0, cpu)
    assert one.diagnostics == other.diagnostics
    torch.testing.assert_close(one.dictionary.atoms, other.dictionary.atoms)


def test_distances_leave_out_the_norm_of_the_row(clusters):
    _, _, x = clusters
    index, less = nearest(x[:10], x[:10])
    assert index.tolist() == list(range(10))
    torch.testing.assert_close(less, -x[:10].square().sum(dim=1), rtol=1e-4, atol=1e-3)


def test_more_clusters_than_rows_and_rows_that_are_not_finite_are_refused(cpu):
    with pytest.raises(UnweaveError, match="set n_features to 4 at most"):
        fit(InMemoryActivations(torch.rand(4, 3)), Settings(n_features=5), 0, cpu)
    with pytest.raises(UnweaveError, match="NaN or infinite"):
        fit(InMemoryActivations(torch.full((9, 3), torch.nan)), Settings(n_features=5), 0, cpu)
