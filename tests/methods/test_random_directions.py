import torch
from scipy.stats import kstest

from unweave.methods import random_directions
from unweave.methods.random_directions import random_orthonormal


def test_directions_are_orthonormal_and_read_what_they_write(planted, cpu):
    dictionary = random_directions.fit(planted.activations, random_directions.Settings(), 0, cpu).dictionary
    torch.testing.assert_close(dictionary.readers @ dictionary.atoms.T, torch.eye(6), atol=1e-6, rtol=0)
    assert torch.equal(dictionary.readers, dictionary.atoms)


def test_the_center_is_the_mean_of_the_rows_that_are_encoded(planted, cpu):
    for row_norm in (False, True):
        settings = random_directions.Settings(row_norm=row_norm)
        codes = random_directions.fit(planted.activations, settings, 0, cpu).dictionary.encode(planted.x)
        torch.testing.assert_close(codes.mean(0), torch.zeros(6), atol=1e-5, rtol=0)


def test_another_seed_gives_other_directions():
    assert not torch.allclose(random_orthonormal(5, 0), random_orthonormal(5, 1))


def test_directions_are_uniform_on_the_sphere():
    # In three dimensions each coordinate of a uniform unit vector is uniform on [-1, 1] (Archimedes).
    coordinates = torch.stack([random_orthonormal(3, seed)[0] for seed in range(600)])
    for axis in range(3):
        assert kstest(coordinates[:, axis].numpy(), "uniform", args=(-1, 2)).pvalue > 0.01
