import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations import temporal_geometry
from unweave.evaluations.temporal_geometry import Settings, evaluate, unit_of
from unweave.evaluations.temporal_geometry.circle import circular_r2, order_alignment, permutation_test
from unweave.evaluations.temporal_geometry.components import standardised_components
from unweave.evaluations.temporal_geometry.prompts import FAMILIES, PROMPTS, TEMPLATES, Prompt, Terms, read_prompts
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary
from unweave.methods.sasa.dictionary import SubspaceDictionary
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import load_language_model

D = 16
QUICK = Settings(columns=4, permutations=39, random_units=5)


def circle(period, copies, order=None, noise=0.05, seed=0):
    places = np.tile(np.arange(period), copies)
    theta = 2 * np.pi * (np.arange(period) if order is None else order)[places] / period
    points = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return points + noise * np.random.default_rng(seed).standard_normal(points.shape), places


def folds_of(places, period):
    return np.arange(len(places)) // period % 3


def test_a_circle_in_the_order_of_the_calendar_is_found():
    points, places = circle(7, 6)
    folds = folds_of(places, 7)
    assert circular_r2(points, places, 7, folds) > 0.9
    assert order_alignment(points, places, 7, folds) > 0.95
    assert permutation_test(points, places, 7, folds, 99, np.random.default_rng(0))[0] <= 0.05


def test_a_circle_in_another_order_is_not_circular_in_the_calendar():
    points, places = circle(7, 6, order=np.array([0, 3, 6, 2, 5, 1, 4]))
    folds = folds_of(places, 7)
    assert circular_r2(points, places, 7, folds) < 0.3
    assert permutation_test(points, places, 7, folds, 99, np.random.default_rng(0))[0] > 0.05


def test_clusters_without_an_order_do_not_pass_the_permutation_test():
    rng = np.random.default_rng(3)
    centres, places = rng.standard_normal((12, 4)), np.tile(np.arange(12), 6)
    points = centres[places] + 0.05 * rng.standard_normal((72, 4))
    assert permutation_test(points, places, 12, folds_of(places, 12), 99, rng)[0] > 0.02


@given(st.floats(0.1, 50), st.floats(0, 6.28), st.integers(0, 50))
def test_scale_and_rotation_of_the_points_do_not_matter(scale, angle, seed):
    points, places = circle(7, 4, noise=0.3, seed=seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    folds = folds_of(places, 7)
    one, other = (circular_r2(p, places, 7, folds) for p in (points, scale * points @ turn))
    assert one == pytest.approx(other, abs=0.02)


def test_a_unit_is_the_best_group_or_the_best_columns():
    auc = np.array([0.5, 0.9, 0.1, 0.6])
    assert unit_of(auc, np.random.default_rng(0).random((5, 4)), 3, 2).tolist() == [3, 4, 5]
    assert set(unit_of(auc, np.random.default_rng(0).random((5, 4)), 1, 2).tolist()) == {1, 2}


@pytest.fixture
def planted(monkeypatch):
    """Weekdays on a circle in coordinates 0 and 1, months in 4 and 5, other nouns elsewhere."""
    rng = np.random.default_rng(0)
    rows, family, place, template = [], [], [], []
    for start, (name, terms) in zip((0, 4, 8), {**FAMILIES, "other": tuple(range(20))}.items(), strict=True):
        for position in range(len(terms)):
            for number in range(len(TEMPLATES)):
                row = 0.1 * rng.standard_normal(D)
                theta = 2 * np.pi * position / len(terms)
                row[start : start + 2] += 3 * np.array([np.cos(theta), np.sin(theta)])
                rows.append(row)
                family.append(name)
                place.append(position)
                template.append(number)
    terms = Terms(torch.from_numpy(np.array(rows)).float(), np.array(family), np.array(place), np.array(template))
    monkeypatch.setattr(temporal_geometry, "load_language_model", lambda *_: None)
    monkeypatch.setattr(temporal_geometry, "read_terms", lambda *_: terms)
    along = torch.zeros(3, D)
    along[1, 0], along[2, 5] = 3, 4
    prompts = [Prompt([" on", " Monday", " March"], along), Prompt([" a"], torch.zeros(1, D))]
    monkeypatch.setattr(temporal_geometry, "read_prompts", lambda *_: prompts)


def grouped(bias=0.0):
    tensors = {"encoder": torch.eye(D), "decoder": torch.eye(D), "encoder_bias": torch.full((D,), bias)}
    return SubspaceDictionary.build(
        tensors | {"decoder_bias": torch.zeros(D)}, group_size=4, active_groups=2, layer_norm=False
    )


def test_the_group_that_holds_a_calendar_is_chosen_and_is_circular(planted, make_data, find):
    scores = evaluate(grouped(), make_data({}), QUICK, 0)
    for family in FAMILIES:
        assert find(scores, metric="unit_auc", dataset=family) > 0.95
        assert find(scores, metric="circular_r2", dataset=family, label="") > 0.9
        assert find(scores, metric="p_value", dataset=family) <= 0.05
        assert find(scores, metric="circular_r2", dataset=family, label="permuted labels") < 0.5
        assert find(scores, metric="circular_r2", dataset=family, label="random units") < 0.9


def test_single_codes_make_a_unit_of_as_many_columns(planted, make_data, find):
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D), "atoms": torch.eye(D)}
    scores = evaluate(LinearDictionary(tensors, Traits(signed=True, linear=True)), make_data({}), QUICK, 0)
    assert find(scores, metric="circular_r2", dataset="weekday", label="") > 0.8


def test_a_dictionary_that_is_silent_on_the_terms_is_refused(planted, make_data):
    silent = grouped()
    silent.tensors["encoder"] = torch.zeros(D, D)
    with pytest.raises(UnweaveError, match="no feature varies over the weekdays"):
        evaluate(silent, make_data({}), QUICK, 0)


def test_the_components_of_a_planted_circle_are_the_circle():
    points, _ = circle(12, 5, noise=0.01)
    coordinates, shares = standardised_components(np.hstack([points, np.full((60, 1), 7.0)]), 3)
    assert shares[:2].sum() == pytest.approx(1, abs=1e-3)
    radii = np.linalg.norm(coordinates[:, :2], axis=1)
    assert radii.std() / radii.mean() < 0.05
    turned = np.unwrap(np.arctan2(coordinates[:12, 1], coordinates[:12, 0]))
    assert np.abs(np.diff(turned)) == pytest.approx(2 * np.pi / 12, abs=0.1)


@given(st.integers(0, 50), st.floats(0.1, 100))
def test_components_know_neither_the_scale_nor_the_place_of_a_column(seed, scale):
    points = np.random.default_rng(seed).standard_normal((20, 4)) * [1, 2, 3, 4]
    one, shares = standardised_components(points, 3)
    other, again = standardised_components(points * [scale, 1, 1, 1] + [0, 5, 0, 0], 3)
    assert shares == pytest.approx(again)
    assert np.abs(one) == pytest.approx(np.abs(other), abs=1e-6)


def test_every_measured_sentence_has_a_place_and_its_term(planted, make_data):
    scores = evaluate(grouped(), make_data({}), QUICK, 0)
    for family, names in FAMILIES.items():
        rows = [s for s in scores if s.metric == "first_component" and s.dataset == family]
        assert {s.label for s in rows} == set(names)
        assert len(rows) == len(names) * len(TEMPLATES) // 2


def test_the_norm_of_a_unit_is_followed_along_the_prompts(planted, make_data):
    scores = [s for s in evaluate(grouped(), make_data({}), QUICK, 0) if s.metric == "norm"]
    along = {(s.dataset, s.x_name, s.label): s.value for s in scores}
    assert along["weekday", "token of prompt 1", " Monday"] == pytest.approx(3)
    assert along["weekday", "token of prompt 1", " on"] == pytest.approx(0)
    assert along["month", "token of prompt 1", " March"] == pytest.approx(4)
    assert along["month", "token of prompt 2", " a"] == pytest.approx(0)


def test_prompts_are_read_without_their_first_token(tiny_model_folder):
    model = load_language_model(tiny_model_folder, torch.float32, torch.device("cpu"))
    found = read_prompts(model, HookPoint("resid", 0))
    assert len(found) == len(PROMPTS)
    assert all(len(prompt.tokens) == len(prompt.x) for prompt in found)
    lengths = [len(model.tokenizer(text)["input_ids"]) for text in PROMPTS]
    assert [len(prompt.tokens) + 1 for prompt in found] == lengths
