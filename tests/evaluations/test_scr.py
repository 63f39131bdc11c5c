import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.scr import BIASED, CORPORA, LABELS, RANDOM, Settings, evaluate, removal, tasks
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

D, ROWS = 10, 4
QUICK = Settings(n=[1, 2], control_draws=4)


def axes(*, row_norm=False):
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D), "atoms": torch.eye(D)}
    return LinearDictionary(tensors, Traits(signed=True, linear=True, normalisation="row_norm" if row_norm else "none"))


@pytest.fixture
def two_corpora(make_corpus):
    """Corpora that differ on coordinate 0, strongly, and labels that differ on coordinate 1, weakly."""

    def make(of_corpus=1.5, of_label=0.6, per_class=160, seed=0):
        generator = torch.Generator().manual_seed(seed)
        corpora = {}
        for sign, name in ((1, "first"), (-1, "second")):
            m = 2 * per_class
            labels = np.arange(m) % 2
            x = torch.randn(m, ROWS, D, generator=generator)
            x[:, :, 0] += sign * of_corpus / 2
            x[:, :, 1] += torch.from_numpy(np.where(labels == 1, of_label, -of_label))[:, None]
            splits = np.where(np.arange(m) // 2 % 2, "test", "train")
            corpora[name] = make_corpus(
                x.reshape(-1, D), documents=m, labels=labels, splits=splits, label_names=["negative", "positive"]
            )
        return corpora

    return make


def test_ablating_what_tells_the_corpora_frees_the_biased_probe_for_the_labels(two_corpora, make_data, find):
    scores = evaluate(axes(), make_data(two_corpora()), QUICK, 0)
    biased = find(scores, metric="probe_accuracy_of_labels", label="biased probe")
    assert biased < find(scores, metric="probe_accuracy_of_labels", label="") - 0.05
    assert find(scores, metric="scr", label="", x=2) > 0.3
    assert find(scores, metric="scr", label="", x=2) == find(scores, metric="scr_dir2", label="", x=2)


def test_random_features_remove_no_correlation(two_corpora, make_data, find):
    scores = evaluate(axes(), make_data(two_corpora()), Settings(n=[1], control_draws=20), 0)
    assert abs(find(scores, metric="scr", label=RANDOM, x=1)) < 0.25


def test_rows_that_are_renormalised_take_the_path_through_the_tokens(two_corpora, make_data, find):
    scores = evaluate(axes(row_norm=True), make_data(two_corpora()), Settings(n=[2], control_draws=1), 0)
    assert find(scores, metric="scr", label="", x=2) > 0.2


@given(st.lists(st.integers(0, 3), min_size=40, max_size=120), st.integers(0, 99))
def test_tasks_are_balanced_over_what_they_do_not_ask(quadrants, seed):
    quadrants = np.array(quadrants)
    try:
        drawn = tasks(quadrants, np.random.default_rng(seed))
    except UnweaveError:
        return
    for name, first in ((LABELS, quadrants % 2 == 0), (CORPORA, quadrants < 2)):
        chosen, y = drawn[name]
        assert (first[chosen] == (y == 1)).all()
        counts = np.bincount(quadrants[chosen], minlength=4)
        assert len(set(counts.tolist())) == 1
    chosen, y = drawn[BIASED]
    assert set(quadrants[chosen][y == 1].tolist()) == {0}
    assert set(quadrants[chosen][y == 0].tolist()) == {3}


def test_nothing_removed_scores_zero_and_everything_one():
    before, oracle = np.array([0.6, 0.9]), np.array([0.9, 0.9])
    np.testing.assert_allclose(removal(before, before, oracle), 0)
    np.testing.assert_allclose(removal(before, oracle, oracle), [1, 0])


def test_one_corpus_or_a_missing_label_is_one_clear_error(two_corpora, make_data):
    corpora = two_corpora(per_class=10)
    with pytest.raises(UnweaveError, match="needs two corpora, got 1"):
        evaluate(axes(), make_data({"first": corpora["first"]}), QUICK, 0)
    with pytest.raises(UnweaveError, match="first: has no class 'good'; its classes are negative, positive"):
        evaluate(axes(), make_data(corpora), Settings(labels=["good", "positive"]), 0)
    with pytest.raises(UnweaveError, match="too few texts"):
        evaluate(axes(), make_data(two_corpora(per_class=3)), QUICK, 0)
