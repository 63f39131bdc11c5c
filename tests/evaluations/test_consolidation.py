import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.consolidation import (
    CONTROL,
    INSIDE,
    LINES,
    PAIRS,
    PAIRS_INSIDE,
    PAIRS_OF_LINES,
    PCA,
    Settings,
    evaluate,
)
from unweave.evaluations.consolidation.covering import (
    fewest_lines,
    fewest_lines_in_pairs,
    greedy_cover,
    greedy_cover_by_pairs,
    sines,
)
from unweave.evaluations.consolidation.manifolds import DIMENSIONS, Manifold
from unweave.evaluations.consolidation.units import carriers, energies, largest_sine, owned_shares, principal_span
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.run import refitting
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary

D = 12
CPU = torch.device("cpu")
QUICK = {"d": D, "tokens": 1000, "test_tokens": 1000, "sample_sizes": [16, 400], "shapes": ["circle", "sphere"]}


class Nearest(Dictionary):
    """Keeps the one group, of orthonormal rows, that holds most of a point."""

    form = "test.Nearest"

    @property
    def atoms(self):
        return self.tensors["atoms"]

    def encode(self, x):
        codes = x @ self.atoms.T
        size = self.traits.group_size
        strengths = codes.reshape(len(x), -1, size).norm(dim=2)
        kept = torch.zeros_like(strengths).scatter_(1, strengths.argmax(dim=1, keepdim=True), 1.0)
        return codes * kept.repeat_interleave(size, dim=1)

    def decode(self, codes, like=None):  # noqa: ARG002
        return codes @ self.atoms


def nearest(atoms, group_size):
    return Nearest({"atoms": atoms.float()}, Traits(signed=True, linear=False, group_size=group_size))


def data_with(refit):
    return EvaluationData("resid", 1, CPU, None, {}, refit)


def scored(refit, seed=0, **changed):
    dictionary = nearest(torch.eye(D), 1)
    scores = evaluate(dictionary, data_with(refit), Settings(**(QUICK | changed)), seed)
    keys = [(s.metric, s.dataset, s.label, s.x_name, s.x) for s in scores]
    assert len(set(keys)) == len(keys)
    assert all(np.isfinite(s.value) for s in scores)
    return scores


def principal_group(size, others=3):
    """A method whose first group is the principal directions of what it is fitted to; further groups are orthogonal."""

    def refit(activations, replaced):
        directions = torch.linalg.svd(activations.rows(), full_matrices=True)[2]
        return nearest(directions[: size * others], size)

    return refit


@pytest.mark.parametrize("shape", DIMENSIONS)
def test_points_of_a_shape_have_power_one_and_stay_in_its_subspace(shape):
    manifold = Manifold.planted(shape, D, 3)
    x = manifold.points(20_000, 0).double()
    basis = manifold.basis
    assert basis.shape == (DIMENSIONS[shape], D)
    assert torch.allclose(x @ basis.T @ basis, x, atol=1e-6)
    assert x.square().sum(dim=1).mean().item() == pytest.approx(1, abs=0.01)
    assert not torch.equal(x, manifold.points(20_000, 1).double())
    if manifold.round:
        assert torch.allclose(x.norm(dim=1), torch.ones(len(x), dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize(("m", "eps", "whole"), [(2, 0.5, 3), (3, 0.3, 22), (4, 0.1, 2350), (6, 0.3, 1173)])
def test_the_bound_is_nine_tenths_of_that_for_the_whole_sphere(m, eps, whole):
    assert fewest_lines(m, eps) == pytest.approx(0.9 * whole, abs=1.01, rel=0.01)


def test_the_bound_grows_with_the_power_of_the_dimension():
    for m in (2, 3, 4, 5):
        slope = np.log(fewest_lines(m, 1e-3) / fewest_lines(m, 1e-2)) / np.log(10)
        assert slope == pytest.approx(m - 1, abs=0.02)


@given(st.integers(2, 4), st.floats(0.2, 0.8), st.integers(0, 1000))
@settings(max_examples=30)
def test_no_set_of_lines_covers_a_sphere_with_fewer_than_the_bound(m, eps, seed):
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((4000, m))
    directions = torch.from_numpy(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    lines = torch.from_numpy(rng.standard_normal((300, 1, m)))
    count = greedy_cover(sines(directions, lines) <= eps)
    # Lines that are fitted to 4000 points cover a little more of them than of the sphere.
    assert count is None or count >= 0.9 * fewest_lines(m, eps) - 1


def test_a_cover_is_the_fewest_sets_where_greed_is_right_and_none_where_there_is_none():
    covers = torch.zeros(100, 4, dtype=torch.bool)
    covers[:60, 0] = covers[60:95, 1] = covers[:30, 2] = True
    assert greedy_cover(covers) == 2
    assert greedy_cover(covers[:, [0, 2]]) is None


@pytest.mark.parametrize(("m", "eps", "lines"), [(2, 0.1, 2), (3, 0.5, 3), (4, 0.3, 5), (4, 0.1, 14)])
def test_the_bound_of_pairs_is_that_of_the_planes_they_span(m, eps, lines):
    """A plane holds the share eps^2 of the directions in four dimensions, and eps in three."""
    assert fewest_lines_in_pairs(m, eps) == lines


@given(m=st.integers(2, 5), eps=st.sampled_from([0.5, 0.3]), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_no_pairs_of_lines_cover_a_sphere_with_fewer_than_their_bound(m, eps, seed):
    rng = np.random.default_rng(seed)
    directions = torch.from_numpy(rng.standard_normal((2000, m)))
    directions /= directions.norm(dim=1, keepdim=True)
    lines = torch.from_numpy(rng.standard_normal((100, 1, m)))
    count = greedy_cover_by_pairs(directions, lines, eps)
    assert count is not None
    assert count >= fewest_lines_in_pairs(m, eps)
    alone = greedy_cover(sines(directions, lines) <= eps)
    assert alone is None or count <= max(alone, 2)


def test_two_units_cover_what_lies_between_them_and_one_does_not():
    plane = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ torch.eye(2, D)
    plane /= plane.norm(dim=1, keepdim=True)
    axes = torch.eye(D)[:, None]
    assert greedy_cover(sines(plane, axes) <= 0.1) is None
    assert greedy_cover_by_pairs(plane, axes, 0.1) == 2
    assert greedy_cover_by_pairs(plane, axes[:, [0, 0]], 0.1) == 2
    assert greedy_cover_by_pairs(plane, axes[1:], 0.1) is None


def test_a_pair_that_is_one_unit_twice_covers_no_more_than_the_unit():
    space = torch.randn(500, D, generator=torch.Generator().manual_seed(0))
    space /= space.norm(dim=1, keepdim=True)
    group = torch.randn(1, 3, D, generator=torch.Generator().manual_seed(1))
    turned = torch.randn(3, 3, generator=torch.Generator().manual_seed(2)) @ group
    assert greedy_cover_by_pairs(space, torch.cat([group, turned]), 0.3) is None


def test_a_group_covers_all_directions_of_its_span_and_a_line_only_its_own():
    directions = Manifold.planted("circle", D, 0)
    x = directions.points(200, 0)
    assert sines(x, directions.basis[None]).max() < 1e-3
    assert (sines(x, directions.basis[:, None]) > 0.5).any()


def test_energy_does_not_depend_on_the_basis_of_a_group():
    generator = torch.Generator().manual_seed(0)
    atoms, codes = torch.randn(6, D, generator=generator), torch.randn(50, 6, generator=generator)
    change = torch.block_diag(*(torch.randn(2, 2, generator=generator) + 2 * torch.eye(2) for _ in range(3)))
    plain = energies(nearest(atoms, 2), codes)
    changed = energies(nearest(torch.linalg.solve(change, atoms), 2), codes @ change)
    assert torch.allclose(plain, changed, rtol=1e-3, atol=1e-3)
    assert torch.allclose(plain[:, 0], (codes[:, :2] @ atoms[:2]).square().sum(dim=1).double(), rtol=1e-4)


def test_owners_and_carriers_of_known_energies():
    energy = torch.tensor([[4.0, 1, 0], [3, 1, 0], [0, 2, 0], [0, 0, 0]]).double()
    assert owned_shares(energy).tolist() == [0.5, 0.25, 0]
    assert carriers(energy) == 2
    assert carriers(torch.zeros(3, 2)) == 0


def test_angles_between_spans():
    axes = torch.eye(4).double()
    turned = torch.stack([axes[0], 0.8 * axes[1] + 0.6 * axes[2]])
    assert largest_sine(axes[:2], axes[:2]) == pytest.approx(0, abs=1e-7)
    assert largest_sine(turned, axes[:2]) == pytest.approx(0.6)
    assert largest_sine(axes[:1], axes[:2]) == 1
    assert len(principal_span(torch.outer(torch.arange(5.0), torch.ones(4)), 2)) == 1


def test_a_group_as_wide_as_the_concept_consolidates_it(find):
    scores = scored(principal_group(3))
    for shape in ("circle", "sphere"):
        for metric, value in {"units": 1, "columns": 3, "carriers": 1, "top_share": 1}.items():
            assert find(scores, metric=metric, dataset=shape, label="") == value
        assert find(scores, metric="error", dataset=shape, label="") < 1e-3
        assert find(scores, metric="span_sine", dataset=shape) < 0.05
        assert find(scores, metric="covering_number", dataset=shape, label="", x=0.1) == 1
        assert find(scores, metric="error", dataset=shape, label=CONTROL) > 0.1
        assert find(scores, metric="covering_number", dataset=shape, label=PAIRS, x=0.1) == 1
    assert find(scores, metric="covering_number", dataset="sphere", label=LINES, x=0.1) == 180
    assert find(scores, metric="covering_number", dataset="sphere", label=PAIRS_OF_LINES, x=0.1) == 5


def test_single_directions_split_the_concept(find):
    scores = scored(principal_group(1, others=6))
    assert find(scores, metric="units", dataset="circle", label="") == 2
    assert find(scores, metric="units", dataset="sphere", label="") == 3
    assert find(scores, metric="span_sine", dataset="sphere") == 1
    assert find(scores, metric="covered", dataset="sphere", label="", x=0.1) < 0.1
    assert not [s for s in scores if s.metric == "covering_number" and s.label == "" and s.x == 0.1]
    assert find(scores, metric="covering_number", dataset="circle", label=PAIRS, x=0.1) == 2


def test_random_groups_as_wide_as_the_concept_cover_it_once_they_lie_within(find):
    scores = scored(principal_group(3))
    assert find(scores, metric="covered", dataset="sphere", label=INSIDE, x=0.1) == 1
    assert find(scores, metric="covering_number", dataset="sphere", label=INSIDE, x=0.1) == 1
    assert find(scores, metric="covering_number", dataset="sphere", label=PAIRS_INSIDE, x=0.1) == 1


def test_more_samples_find_the_subspace_better_as_fast_as_principal_directions(find):
    scores = scored(principal_group(3))
    sines_of = {n: find(scores, metric="sample_sine", label="", x=n) for n in (16, 400)}
    assert 2 < sines_of[16] / sines_of[400] < 12
    for n in (16, 400):
        assert sines_of[n] == pytest.approx(find(scores, metric="sample_sine", label=PCA, x=n), abs=1e-2)
    assert find(scores, metric="sample_error", label=PCA, x=16) > find(scores, metric="sample_error", label=PCA, x=400)


def test_samples_are_trained_in_as_many_steps_of_one_size():
    seen = []

    def refit(activations, replaced):
        seen.append((activations.n, dict(replaced)))
        return principal_group(3)(activations, replaced)

    scored(refit, shapes=["circle"], sample_steps=7, method_settings={"groups": 4, "batch_size": 900})
    replaced = {"groups": 4, "batch_size": 16, "tokens": 112}
    assert seen == [(1000, {"groups": 4, "batch_size": 900}), (16, replaced), (400, replaced)]


def test_a_real_method_with_a_nuclear_norm_consolidates_a_circle_in_inference_mode(find):
    chosen = {
        "groups": 8,
        "group_size": 3,
        "active_groups": 1,
        "layer_norm": False,
        "biases": "none",
        "penalty_weight": 0.03,
        "learning_rate": 3e-3,
        "warmup_steps": 5,
        "batch_size": 64,
        "tokens": 64 * 500,
        "initial_norm": 0.1,
    }
    refit = refitting({"method_module": "sasa", "settings": chosen, "seed": 0}, CPU)
    with torch.inference_mode():
        scores = scored(refit, shapes=["circle"], sample_sizes=[])
    assert find(scores, metric="units", dataset="circle", label="") == 1
    assert find(scores, metric="span_sine", dataset="circle") < 0.1
    # The closed form (1 - penalty d_i / 2)^2 of a circle in the plane: an error of 0.03^2.
    assert find(scores, metric="error", dataset="circle", label="") < 0.01


def test_a_dictionary_of_unknown_origin_is_refused():
    with pytest.raises(UnweaveError, match="how the dictionary was fitted is not known"):
        evaluate(nearest(torch.eye(D), 1), data_with(None), Settings(), 0)


def test_a_method_that_fails_names_the_shape():
    def refuses(activations, replaced):
        raise UnweaveError("too few rows")

    with pytest.raises(UnweaveError, match=r"^circle: too few rows"):
        scored(refuses)
    with pytest.raises(UnweaveError, match=r"^circle: its activations have 12 dimensions.*dictionary of 5"):
        scored(lambda *_: LinearDictionary.build(torch.zeros(5), torch.eye(5), torch.eye(5)))
