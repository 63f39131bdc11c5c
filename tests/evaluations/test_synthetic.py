import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unweave.activations.memory import InMemoryActivations
from unweave.config import EvaluationEntry
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.run import refitting, run_evaluation, with_replaced
from unweave.evaluations.synthetic import Settings, evaluate, ranks_of
from unweave.evaluations.synthetic.recovery import Firings, carriers, linear_readers, one_to_one, overlaps, uniqueness
from unweave.evaluations.synthetic.settings import WorldSettings
from unweave.evaluations.synthetic.world import World, binary_entropy, zipf_probabilities
from unweave.methods.dictionary import Dictionary, Fit, Traits, save
from unweave.methods.linear import LinearDictionary
from unweave.results.scores import read

CPU = torch.device("cpu")
N_TOKENS = 40_000


def world(seed=0, **facts):
    return World.planted(WorldSettings(**{"d": 32, "features": 24, "active": 3, **facts}), seed)


# Worlds


@pytest.mark.parametrize("firing", ["independent", "exact", "correlated", "hierarchical"])
def test_features_fire_as_often_as_they_should(firing):
    planted = world(firing=firing)
    fires = planted.sample(N_TOKENS, 0).fires
    frequencies = fires.double().mean(dim=0)
    slack = 5 * (planted.probabilities / N_TOKENS).sqrt() + 1e-4
    assert ((frequencies - planted.probabilities).abs() < slack).all()
    assert fires.sum(dim=1).double().mean() == pytest.approx(3, rel=0.03)
    if firing == "exact":
        assert (fires.sum(dim=1) == 3).all()


@given(st.integers(1, 300), st.floats(0, 3), st.floats(0.01, 1))
@settings(max_examples=50)
def test_zipf_probabilities_sum_to_their_total_and_never_pass_a_half(features, exponent, share):
    total = share * features / 2
    probabilities = zipf_probabilities(features, exponent, total)
    assert float(probabilities.sum()) == pytest.approx(total, rel=1e-6)
    assert probabilities.max() <= 0.5
    assert (probabilities.diff() <= 0).all()
    uncapped = probabilities[probabilities < 0.5]
    if len(uncapped) > 1:
        first = features - len(uncapped) + 1
        ratio = float(uncapped[-1] / uncapped[0])
        assert ratio == pytest.approx((features / first) ** -exponent, rel=1e-6)


def test_children_fire_only_where_their_parent_does():
    planted = world(firing="hierarchical", children=3)
    fires = planted.sample(5000, 0).fires
    children = planted.parents >= 0
    assert int(children.sum()) == 18
    assert not (fires[:, children] & ~fires[:, planted.parents[children]]).any()
    given_parent = fires[:, children].sum() / fires[:, planted.parents[children]].sum()
    assert given_parent == pytest.approx(0.3, abs=0.03)


def test_common_factors_make_features_fire_together():
    facts = {"firing": "correlated", "copula_rank": 1, "copula_strength": 0.8, "zipf": 0}
    dependent, independent = (
        np.abs(np.corrcoef(planted.sample(N_TOKENS, 0).fires.numpy(), rowvar=False) - np.eye(24)).mean()
        for planted in (world(**facts), world(zipf=0))
    )
    assert dependent > 0.2
    assert independent < 0.01


@pytest.mark.parametrize("coordinates", ["sphere", "gaussian"])
def test_a_feature_is_a_ray_or_a_point_of_its_own_subspace(coordinates):
    facts = {"dimensions": [1, 2, 3, 4], "features": 8, "orthogonal": True, "noise": 0, "magnitude_spread": 0}
    planted = world(**facts, coordinates=coordinates)
    sample = planted.sample(20_000, 0)
    points = sample.x @ planted.bases.T
    torch.testing.assert_close(planted.bases @ planted.bases.T, torch.eye(20), atol=1e-5, rtol=0)
    for feature, width in enumerate(planted.settings.widths):
        own = points[:, planted.feature_of_row == feature]
        assert own.shape[1] == width
        there, radii = sample.fires[:, feature], own.norm(dim=1)
        assert (radii[~there] < 1e-5).all()
        assert radii[there].square().mean() == pytest.approx(1, rel=0.1)
        if coordinates == "sphere" or width == 1:
            torch.testing.assert_close(radii[there], torch.ones(int(there.sum())), atol=1e-5, rtol=0)
        assert width > 1 or (own[there] > 0).all()
    torch.testing.assert_close((points @ planted.bases), sample.x, atol=1e-5, rtol=0)


def test_noise_has_its_share_of_the_power():
    loud, silent = (world(noise=noise, orthogonal=True).sample(N_TOKENS, 0).x for noise in (0.25, 0.0))
    assert (loud - silent).square().sum() / silent.square().sum() == pytest.approx(0.25, rel=0.02)


def test_the_entropy_of_a_world_is_known():
    assert world(zipf=0, active=12).entropy == pytest.approx(24)
    assert world(firing="exact").entropy == pytest.approx(math.log2(24 * 23 * 22 / 6))
    assert world(firing="correlated").entropy is None
    tree = world(firing="hierarchical", features=4, active=0.5, zipf=0, child_probability=0.5)
    root = float(tree.probabilities[0])
    assert root == pytest.approx(0.5 / 2.5)
    assert tree.entropy == pytest.approx(float(binary_entropy(torch.tensor(root))) + 3 * root)


def test_a_world_is_a_function_of_its_seed_and_a_sample_of_its_stream():
    one, same, other = world(seed=1), world(seed=1), world(seed=2)
    assert torch.equal(one.bases, same.bases)
    assert not torch.equal(one.bases, other.bases)
    assert torch.equal(one.sample(50, 0).x, same.sample(50, 0).x)
    assert not torch.equal(one.sample(50, 0).x, one.sample(50, 1).x)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"d": 4, "dimensions": [5]}, "do not fit into 4 dimensions"),
        ({"d": 8, "features": 9, "orthogonal": True}, "do not fit into 8 dimensions"),
        ({"firing": "exact", "active": 2.5}, "whole number"),
        ({"features": 4, "active": 3}, "at most half"),
        ({"firing": "hierarchical", "features": 8, "children": 7, "active": 3}, "at most half"),
    ],
)
def test_impossible_worlds_are_refused(facts, message):
    with pytest.raises(ValidationError, match=message):
        WorldSettings(**facts)


# Recovery


def identity_rows(count):
    return torch.arange(count)


def test_overlaps_of_single_directions_are_cosines_whatever_their_sign_and_length():
    generator = torch.Generator().manual_seed(0)
    atoms, truth = torch.randn(7, 5, generator=generator), torch.randn(4, 5, generator=generator)
    unit = torch.nn.functional.normalize
    expected = (unit(atoms).double() @ unit(truth).double().T).abs()
    found = overlaps(-3 * atoms, 1, unit(truth), identity_rows(4))
    torch.testing.assert_close(found.similarity, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.capture, expected.square(), atol=1e-6, rtol=0)


def test_a_group_captures_the_subspace_that_it_spans_in_any_basis():
    bases = torch.eye(6)[:4]
    rows = torch.tensor([0, 0, 1, 1])
    mixing = torch.tensor([[2.0, 1], [1, 3]])
    group = torch.cat([mixing @ bases[:2], torch.stack([bases[2], torch.zeros(6)])])
    found = overlaps(group, 2, bases, rows)
    torch.testing.assert_close(found.capture, torch.tensor([[1, 0], [0, 0.5]]).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.similarity, torch.eye(2).double(), atol=1e-6, rtol=0)
    assert overlaps(torch.zeros(2, 6), 2, bases, rows).similarity.tolist() == [[0, 0]]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_plane_that_shares_one_axis_with_a_feature_of_two_overlaps_it_by_half(scale):
    axes = torch.eye(4)
    found = overlaps(scale * axes[[0, 1]], 2, axes[[1, 2, 0, 3]], torch.tensor([0, 0, 1, 2]))
    assert found.similarity[0].tolist() == pytest.approx([0.5**0.5, 1, 0])
    assert found.capture[0].tolist() == pytest.approx([0.5, 1, 0])


def test_a_group_of_two_directions_that_are_nearly_one_spans_that_one_alone():
    direction = torch.randn(5, generator=torch.Generator().manual_seed(0))
    found = overlaps(torch.stack([direction, 0.3 * direction]), 2, torch.eye(5), identity_rows(5))
    assert float(found.capture.sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 2.0**10])
def test_nine_tenths_of_the_energy_are_nine_tenths_at_any_scale_and_up_to_rounding(scale):
    firings = Firings(2, 1, 2)
    codes = scale * torch.tensor([[3.0, 1.0]])
    firings.add(torch.ones(1, 2).bool(), torch.ones(1, 1).bool(), codes)
    axis, row = torch.eye(2)[:1], torch.zeros(1, dtype=torch.long)
    assert carriers(firings, axis.repeat(2, 1), axis, row, 1).tolist() == [1]
    assert carriers(firings, torch.tensor([[0.9, 0], [1.0, 0]]), axis, row, 1).tolist() == [2]


def test_the_best_readers_of_a_complete_basis_are_its_dual():
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(4, 4, generator=generator)).double()
    variances = torch.tensor([1.0, 4, 0.5, 2]).double()
    readers = linear_readers(atoms, identity_rows(4), atoms.T @ variances.diag() @ atoms)
    dual = torch.nn.functional.normalize(torch.linalg.inv(atoms).T)
    torch.testing.assert_close((readers * dual).sum(dim=1).abs(), torch.ones(4).double())
    planes = linear_readers(atoms, torch.tensor([0, 0, 1, 1]), atoms.T @ variances.diag() @ atoms)
    assert overlaps(dual.float(), 2, planes, torch.tensor([0, 0, 1, 1])).capture.diagonal().tolist() == pytest.approx(
        [1, 1], abs=1e-5
    )


def test_matching_is_one_to_one_and_uniqueness_counts_shared_matches():
    similarity = torch.tensor([[0.9, 0.8], [0.85, 0.1], [0.2, 0.3]])
    units, features = one_to_one(similarity)
    assert (units.tolist(), features.tolist()) == ([0, 1], [1, 0])
    assert uniqueness(similarity) == pytest.approx(2 / 3)


def test_detection_counts_hits_misses_and_false_alarms():
    fires = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]]).bool()
    truth = torch.tensor([[1], [1], [1], [0]]).bool()
    firings = Firings(3, 1, 3)
    firings.add(fires[:2], truth[:2], fires[:2].float())
    firings.add(fires[2:], truth[2:], fires[2:].float())
    found = firings.detection(torch.arange(3), torch.zeros(3, dtype=torch.long))
    assert found.precision.tolist() == [1, 1, 0]
    assert found.recall.tolist() == pytest.approx([2 / 3, 2 / 3, 0])
    assert found.f1.tolist() == pytest.approx([0.8, 0.8, 0])
    assert found.accuracy.tolist() == pytest.approx([0.75, 0.75, 0.25])


def test_a_feature_that_fires_once_is_detected_by_the_unit_that_fires_then():
    once = Firings(3, 2, 2)
    units, features = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), torch.tensor([[1, 0], [0, 0], [0, 0]])
    once.add(units.bool(), features.bool(), torch.ones(3, 2))
    found = once.detection(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 1]))
    assert found.precision.tolist() == [1, 0, 0, 0]
    assert found.recall.tolist() == [1, 0, 0, 0]
    assert found.f1.tolist() == [1, 0, 0, 0]
    assert found.accuracy.tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1])


def test_a_feature_is_carried_by_as_many_directions_as_write_nine_tenths_of_it():
    firings = Firings(5, 2, 5)
    truth = torch.tensor([[1, 0], [1, 1]]).bool()
    codes = torch.tensor([[1.0, 1, 0.1, 0, 0], [1, 1, 0.1, 9, 0]])
    firings.add(codes != 0, truth, codes)
    bases = torch.eye(4)[:3]
    atoms = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    rows = torch.tensor([0, 0, 1])
    assert carriers(firings, atoms, bases, rows, 1).tolist() == [2, 0]
    assert carriers(firings, atoms * torch.tensor([1, 10, 1, 1, 1])[:, None], bases, rows, 1).tolist() == [1, 0]
    padded = torch.cat([atoms, torch.zeros(1, 4)])
    six = Firings(3, 2, 6)
    six.add(codes.new_ones(2, 3).bool(), truth, torch.nn.functional.pad(codes, (0, 1)))
    assert carriers(six, padded, bases, rows, 2).tolist() == [1, 0]


# The evaluation


class Oracle(Dictionary):
    """Knows the world: reads along `readers` and keeps what is above a threshold."""

    form = "test.Oracle"

    @property
    def atoms(self):
        return self.tensors["atoms"]

    def encode(self, x):
        codes = x @ self.tensors["readers"].T
        size = self.traits.group_size
        strengths = codes.reshape(len(x), -1, size).norm(dim=2).repeat_interleave(size, dim=1)
        return codes * (strengths > 0.4)

    def decode(self, codes, like=None):  # noqa: ARG002
        return codes @ self.atoms


def data_with(refit):
    return EvaluationData("resid", 1, CPU, None, {}, refit)


ORTHOGONAL = {"d": 32, "features": 24, "active": 3, "orthogonal": True, "noise": 0, "zipf": 0.5, "magnitude_spread": 0}
SMALL = {"tokens": 3000, "test_tokens": 3000}


def scored(refit, planted, seed=0):
    chosen = Settings(worlds={"w": planted}, **SMALL)
    scores = evaluate(Oracle({}, Traits(signed=False, linear=False)), data_with(refit), chosen, seed)
    assert all(np.isfinite(s.value) and s.dataset == "w" for s in scores)
    keys = [(s.metric, s.label, s.x) for s in scores]
    assert len(set(keys)) == len(keys)
    return scores


def oracle(planted, seed=0, copies=1, group_size=1, signed=False):
    def refit(activations, replaced):
        assert (activations.n, activations.d, replaced) == (3000, 32, {})
        bases = World.planted(planted, seed).bases
        tensors = {"readers": bases.repeat(copies, 1), "atoms": bases.repeat(copies, 1) / copies}
        return Oracle(tensors, Traits(signed=signed, linear=False, group_size=group_size))

    return refit


def test_a_dictionary_that_knows_the_world_has_recovered_all_of_it(find):
    planted = WorldSettings(**ORTHOGONAL)
    scores = scored(oracle(planted), planted)
    perfect = {"mcc_atoms": "", "uniqueness": "", "unit_f1": "", "unit_precision": "", "unit_recall": "", "capture": ""}
    perfect |= {"feature_f1": "", "unit_accuracy": "", "splitting_ratio": "", "units_per_feature": "", "fve": ""}
    for metric, label in {**perfect, "relative_bias": ""}.items():
        assert find(scores, metric=metric, label=label) == pytest.approx(1, abs=1e-5), metric
    assert find(scores, metric="dead") == 0
    silent = (World.planted(planted, 0).sample(3000, 1).fires.sum(dim=1) == 0).double().mean()
    assert find(scores, metric="norm_ratio") == pytest.approx(1 - silent.item(), abs=1e-5)
    assert find(scores, metric="l0") == pytest.approx(3, rel=0.1)
    bits = find(scores, metric="firing_entropy", label="")
    assert bits == pytest.approx(find(scores, metric="firing_entropy", label="planted"), rel=0.02)


def test_a_feature_in_two_copies_is_split_and_matched_once(find):
    planted = WorldSettings(**ORTHOGONAL)
    scores = scored(oracle(planted, copies=2), planted)
    assert find(scores, metric="mcc_atoms", label="") == pytest.approx(1, abs=1e-5)
    assert find(scores, metric="uniqueness") == 0.5
    assert find(scores, metric="splitting_ratio") == pytest.approx(2)
    assert find(scores, metric="unit_f1") == find(scores, metric="feature_f1") == pytest.approx(1)


def test_a_group_that_could_write_more_is_told_from_what_it_writes():
    atoms, readers = torch.eye(8), torch.eye(8)
    readers[1] = 0
    group = Oracle({"readers": readers, "atoms": atoms}, Traits(signed=True, linear=False, group_size=4))
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    x[:, 4:] = 0
    ranks = ranks_of(group, x, CPU)
    assert ranks["decoder"].tolist() == [4, 4]
    assert ranks["written"].tolist() == [3, 0]


def test_groups_recover_subspaces_that_single_directions_split(find):
    planted = WorldSettings(**{**ORTHOGONAL, "features": 10, "dimensions": [2]})
    grouped = scored(oracle(planted, group_size=2, signed=True), planted)
    assert find(grouped, metric="capture", label="", x=2) == pytest.approx(1, abs=1e-5)
    assert find(grouped, metric="units_per_feature", x=2) == 1
    assert find(grouped, metric="splitting_ratio", x=2) == 1
    assert find(grouped, metric="unit_f1") == pytest.approx(1)
    for label in ("decoder", "written", "planted"):
        assert find(grouped, metric="matched_rank", label=label, x=2) == 2
    single = scored(oracle(planted, signed=True), planted)
    assert not [score for score in single if score.metric == "matched_rank"]
    assert find(single, metric="capture", label="", x=2) == pytest.approx(0.5, abs=1e-5)
    assert find(single, metric="units_per_feature", x=2) == 2


def test_random_directions_recover_what_chance_gives(find):
    planted = WorldSettings(**ORTHOGONAL)

    def refit(activations, replaced):
        basis = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(7)))[0]
        return LinearDictionary.build(torch.zeros(32), basis, basis, row_norm=False)

    scores = scored(refit, planted)
    for metric in ("mcc_atoms", "mcc_readers"):
        control = find(scores, metric=metric, label="random directions")
        assert find(scores, metric=metric, label="") == pytest.approx(control, abs=0.05)
    assert find(scores, metric="unit_f1") < 0.4
    assert find(scores, metric="features_per_token") == 3


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_order_sign_and_scale_of_directions_change_no_recovery(seed):
    planted = WorldSettings(**{**ORTHOGONAL, "noise": 0.05})
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(24, generator=generator)
    factors = (0.5 + torch.rand(24, 1, generator=generator)) * torch.randn(24, 1, generator=generator).sign()

    class Changed(Oracle):
        def encode(self, x):
            return super().encode(x)[:, order] / factors.T

    def refit(activations, replaced):
        plain = oracle(planted)(activations, replaced)
        return Changed({**plain.tensors, "changed": plain.atoms[order] * factors}, plain.traits)

    Changed.atoms = property(lambda self: self.tensors["changed"])
    plain, changed = scored(oracle(planted), planted), scored(refit, planted)
    for one, other in zip(plain, changed, strict=True):
        assert (one.metric, one.label, one.x) == (other.metric, other.label, other.x)
        if one.label != "random directions":
            assert one.value == pytest.approx(other.value, abs=1e-5), one.metric


# Fitting again


def test_settings_are_replaced_only_where_they_exist():
    content = {"k": 1, "gate": {"kind": "topk", "k": 32}, "seed": None}
    replaced = with_replaced(content, {"k": 2, "gate.k": 4, "gate.rate": 1, "width": 3, "k.x": 5, "seed": 6})
    assert replaced == {"k": 2, "gate": {"kind": "topk", "k": 4}, "seed": 6}
    assert content["gate"]["k"] == 32


def description(module, chosen, seed=3):
    return {"method_module": module, "settings": chosen, "seed": seed}


def test_the_method_of_a_dictionary_is_fitted_again_in_inference_mode_with_its_seed():
    rows = InMemoryActivations(torch.randn(500, 6))
    with torch.inference_mode():
        again = refitting(description("random_directions", {"row_norm": False}), CPU)(rows, {"row_norm": True})
    other = refitting(description("random_directions", {"row_norm": False}, seed=4), CPU)(rows, {})
    assert again.traits.row_norm
    assert not torch.equal(again.atoms, other.atoms)
    assert refitting({}, CPU) is None


def test_a_dictionary_of_unknown_origin_is_refused():
    with pytest.raises(UnweaveError, match="how the dictionary was fitted is not known"):
        evaluate(Oracle({}, Traits(signed=False, linear=False)), data_with(None), Settings(), 0)


def test_a_method_that_cannot_be_fitted_names_the_world():
    refit = refitting(description("random_directions", {"row_norm": 3}), CPU)
    with pytest.raises(UnweaveError, match=r"^world sparse: settings of random_directions.*row_norm"):
        evaluate(Oracle({}, Traits(signed=False, linear=False)), data_with(refit), Settings(), 0)


def test_a_dictionary_of_another_width_than_the_world_is_refused(make_dictionary):
    with pytest.raises(UnweaveError, match=r"^world w: its activations have 32 dimensions.*dictionary of 5"):
        scored(lambda activations, replaced: make_dictionary(5), WorldSettings(**ORTHOGONAL))  # noqa: ARG005


def test_a_stored_dictionary_becomes_scores_of_its_method(tmp_path, make_dictionary):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text(json.dumps({"revision": "r1"}))
    save(Fit(make_dictionary(5)), tmp_path / "dictionary", description("pca", {}))
    world_settings = {"d": 16, "features": 12, "active": 2, "orthogonal": True, "zipf": 1.5}
    run_evaluation(
        dictionary_folder=tmp_path / "dictionary",
        activation_paths={},
        dataset_folders={},
        model_folder=tmp_path / "model",
        entry=EvaluationEntry(evaluation="synthetic", settings={"worlds": {"w": world_settings}, **SMALL}),
        key={"model": "m", "site": "resid", "layer": 1, "method": "pca", "fit_seed": 3, "evaluation": "synthetic"},
        output=tmp_path / "scores.parquet",
        device=CPU,
    )
    scores = read([tmp_path / "scores.parquet"])
    assert (scores.dataset == "w").all()
    mcc = scores[(scores.metric == "mcc_atoms")].set_index(scores.label[scores.metric == "mcc_atoms"]).value
    assert mcc[""] > mcc["random directions"]
