from dataclasses import replace

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.run import refitting
from unweave.evaluations.setting_sweep import Kept, Measure, Point, Settings, evaluate

ROTATED = {"method_module": "ica", "seed": 0, "settings": {"iterations": 0, "n_components": 2}}
FVE = {"metric": "fve", "label": "without the first position"}
CORE = {"evaluation": "core", "settings": {"patched_tokens": 0}}
POINTS = [{"x": n, "settings": {"n_components": n}} for n in (2, 6, 12)]


def sweep(points=POINTS, **measure):
    measures = [CORE | {"keep": [FVE]} | measure]
    return Settings.model_validate({"axis": "components", "points": points, "measures": measures})


@pytest.fixture
def data(make_corpus, make_data):
    def rows(seed):
        return torch.randn(600, 12, generator=torch.Generator().manual_seed(seed)) * torch.linspace(1, 3, 12)

    corpora = {"fitted": make_corpus(rows(0)), "measured": make_corpus(rows(1))}
    return replace(make_data(corpora), refit=refitting(ROTATED, torch.device("cpu")))


def test_more_components_explain_more_and_all_of_them_everything(data, make_dictionary):
    scores = evaluate(make_dictionary(12), data, sweep(), 0)
    assert [(s.metric, s.x_name, s.x, s.dataset) for s in scores] == [
        ("fve", "components", n, "measured") for n in (2, 6, 12)
    ]
    few, more, all_of_them = (score.value for score in scores)
    assert few < more < all_of_them == pytest.approx(1, abs=1e-5)


def test_a_point_without_settings_is_the_dictionary_itself(data, make_dictionary):
    own = {"x": 0, "label": "own", "settings": {}}
    scores = evaluate(make_dictionary(12), data, sweep([own, POINTS[0]]), 0)
    assert scores[0].value == pytest.approx(1, abs=1e-5)
    assert scores[1].value < 0.6


def test_labels_of_points_come_before_those_of_rows_which_can_be_named_anew(data, make_dictionary):
    labelled = [{**point, "label": "wide"} for point in POINTS]
    scores = evaluate(make_dictionary(12), data, sweep(labelled), 0)
    assert {score.label for score in scores} == {"wide, without the first position"}
    scores = evaluate(make_dictionary(12), data, sweep(labelled, keep=[FVE | {"named": ""}]), 0)
    assert {score.label for score in scores} == {"wide"}


def test_a_measure_may_read_both_corpora(data, make_dictionary):
    scores = evaluate(make_dictionary(12), data, sweep(corpora="both"), 0)
    assert [score.dataset for score in scores] == ["fitted", "measured"] * 3


def test_points_that_change_nothing_are_refused(data, make_dictionary):
    points = [{"x": x, "settings": {"penalty": x}} for x in (1, 2)]
    with pytest.raises(UnweaveError, match=r"the points change no setting of this method \(penalty\)"):
        evaluate(make_dictionary(12), data, sweep(points), 0)


def test_a_row_that_the_measure_does_not_have_is_named(data, make_dictionary):
    with pytest.raises(UnweaveError, match=r"core has no row .*'kurtosis'.*its metrics are .*'fve'"):
        evaluate(make_dictionary(12), data, sweep(keep=[{"metric": "kurtosis"}]), 0)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"evaluation": "nothing"}, "unknown evaluation 'nothing'"),
        ({"settings": {"patched": 0}}, "settings of core: patched"),
    ],
)
def test_a_wrong_measure_is_refused_before_anything_is_fitted(data, make_dictionary, measure, message):
    def never(*_):
        raise AssertionError("fitted")

    with pytest.raises(UnweaveError, match=message):
        evaluate(make_dictionary(12), replace(data, refit=never), sweep(**measure), 0)


def test_it_needs_two_corpora_and_a_method_to_fit(data, make_dictionary):
    one = {"one": data.corpora["fitted"]}
    for corpora in (one, {**data.corpora, **one}):
        with pytest.raises(UnweaveError, match="needs two corpora"):
            evaluate(make_dictionary(12), replace(data, corpora=corpora), sweep(), 0)
    with pytest.raises(UnweaveError, match="fits a method again"):
        evaluate(make_dictionary(12), replace(data, refit=None), sweep(), 0)


def test_its_defaults_are_valid():
    default = Settings()
    assert isinstance(default.points[0], Point)
    assert isinstance(default.measures[0], Measure)
    assert isinstance(default.measures[0].keep[0], Kept)


def test_the_measure_that_is_taken_by_default_has_its_row(data, make_dictionary):
    points = [Point(x=n, settings={"n_components": n}) for n in (2, 6)]
    scores = evaluate(make_dictionary(12), data, Settings(points=points), 0)
    assert [(score.metric, score.label) for score in scores] == [("fve", ""), ("fve", "")]
