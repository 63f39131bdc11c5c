import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from unweave.errors import UnweaveError
from unweave.evaluations.last_token_probing import Settings, evaluate, last_tokens, ranking, train_test, weighted_auc

D, ROWS, PLANTED = 10, 4, 6


@pytest.fixture
def labelled(make_corpus):
    """Texts whose last token alone tells their class, on coordinate PLANTED + class."""

    def make(classes=2, per_class=120, strength=3.0, seed=0):
        generator = torch.Generator().manual_seed(seed)
        m = classes * per_class
        labels = np.repeat(np.arange(classes), per_class)
        x = torch.randn(m, ROWS, D, generator=generator)
        for label in range(classes):
            x[labels == label, -1, PLANTED + label] += strength
        facts = {"labels": labels, "label_names": [f"class {label}" for label in range(classes)]}
        return make_corpus(x.reshape(-1, D), documents=m, **facts)

    return make


def test_the_code_of_the_last_token_tells_the_class_and_controls_do_not(labelled, make_dictionary, make_data, find):
    basis = make_dictionary(D)
    basis.tensors.update(readers=torch.eye(D), atoms=torch.eye(D))
    scores = evaluate(basis, make_data({"c": labelled()}), Settings(k=[1, 3]), 0)
    assert find(scores, metric="accuracy", x=1, label="") > 0.85
    assert find(scores, metric="auc", x=1, label="") > 0.9
    assert find(scores, metric="accuracy", label="raw activations") > 0.85
    assert find(scores, metric="accuracy", x=3, label="shuffled labels") == pytest.approx(0.5, abs=0.2)


def test_earlier_tokens_do_not_matter(labelled, make_dictionary, make_data):
    corpus = labelled()
    before = last_tokens("c", corpus, make_dictionary(D), torch.device("cpu"))
    corpus.activations.x[np.arange(len(corpus.activations.x)) % ROWS != ROWS - 1] = 0
    after = last_tokens("c", corpus, make_dictionary(D), torch.device("cpu"))
    np.testing.assert_array_equal(before.codes, after.codes)


def test_few_texts_and_rare_classes_are_curves_of_their_own(labelled, make_dictionary, make_data):
    settings = Settings(k=[2], penalty="l2", train_texts=[8, 40], positive_shares=[0.3])
    scores = evaluate(make_dictionary(D), make_data({"c": labelled()}), settings, 0)
    labels = {s.label for s in scores if s.metric == "scarcity_accuracy"}
    assert {"codes, 8", "codes, 40"} < labels
    assert {s.label for s in scores if s.metric == "imbalance_auc"} >= {"codes, 0.3", "shuffled labels, 0.3"}


def test_more_than_two_classes_are_tasks_each(labelled, make_dictionary, make_data, find):
    scores = evaluate(make_dictionary(D), make_data({"c": labelled(classes=3)}), Settings(k=[2], penalty="l2"), 0)
    (accuracy,) = (s for s in scores if s.metric == "accuracy" and s.label == "")
    assert accuracy.n == 3 * (2 * 120 - 140 - 1)
    assert accuracy.ci_low <= accuracy.value <= accuracy.ci_high


@given(st.integers(60, 200), st.floats(0.1, 0.9), st.integers(0, 99))
def test_drawn_texts_are_disjoint_and_hold_the_share_that_was_asked_for(n, share, seed):
    y = np.arange(4 * n) % 2
    train, test = train_test(y, n, n // 2, share, seed)
    assert not set(train.tolist()) & set(test.tolist())
    assert y[train].sum() == np.ceil(share * n)
    assert y[test].sum() == np.ceil(share * (n // 2))


def test_too_few_texts_of_a_class_are_one_clear_error():
    with pytest.raises(UnweaveError, match="texts of one class are needed"):
        train_test(np.array([1] * 5 + [0] * 50), 20, 10, 0.5, 0)


@given(st.integers(0, 99))
def test_the_scale_of_a_code_does_not_change_its_rank(seed):
    rng = np.random.default_rng(seed)
    codes, y = np.abs(rng.standard_normal((40, 6))), np.arange(40) % 2
    scaled = codes * rng.uniform(0.5, 20, 6)
    assert ranking(codes, y).tolist() == ranking(scaled, y).tolist()


def test_the_weighted_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    score, y = np.round(rng.standard_normal(60), 1), rng.integers(0, 2, 60)
    weights = rng.integers(0, 3, (5, 60)).astype(float)
    expected = [roc_auc_score(y, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auc(score, y, weights), expected, atol=1e-12)


def test_unlabelled_texts_are_refused(labelled, make_dictionary, make_data):
    corpus = labelled()
    corpus.labels = np.full(len(corpus.labels), -1)
    with pytest.raises(UnweaveError, match=r"^c: needs labelled texts of two classes"):
        evaluate(make_dictionary(D), make_data({"c": corpus}), Settings(), 0)
