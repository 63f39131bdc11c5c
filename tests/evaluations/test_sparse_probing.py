import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from unweave.errors import UnweaveError
from unweave.evaluations.pooling import pool
from unweave.evaluations.sparse_probing import Settings, evaluate
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

D, ROWS = 12, 6
PLANTED = 7


def axes(*, signed=True):
    identity = torch.eye(D)
    tensors = {"center": torch.zeros(D), "readers": identity, "atoms": identity}
    return LinearDictionary(tensors, Traits(signed=signed, linear=True))


@pytest.fixture
def labelled(make_corpus):
    """Texts of several classes; class 0 writes on coordinate PLANTED, class 1 on the next, and so on."""

    def make(classes=2, per_class=40, strength=2.0, seed=0, **changes):
        generator = torch.Generator().manual_seed(seed)
        m = classes * per_class
        labels = np.repeat(np.arange(classes), per_class)
        x = torch.randn(m, ROWS, D, generator=generator)
        for label in range(classes):
            x[labels == label, :, PLANTED + label] += strength
        facts = {
            "texts": [""] * m,
            "labels": labels,
            "splits": np.where(np.arange(m) % 2, "test", "train"),
            "label_names": [f"class {label}" for label in range(classes)],
        }
        return make_corpus(x.reshape(-1, D), documents=m, **{**facts, **changes})

    return make


def test_the_planted_feature_alone_suffices_and_controls_are_at_chance(labelled, make_data, find):
    scores = evaluate(axes(), make_data({"c": labelled(classes=3)}), Settings(k=[1, 5]), 0)
    assert find(scores, metric="accuracy", dataset="c", x=1, label="") > 0.95
    assert find(scores, metric="accuracy", dataset="c", x=1, label="shuffled labels") == pytest.approx(0.5, abs=0.15)
    assert find(scores, metric="accuracy", dataset="c", x=1, label="random coordinates") < 0.8
    assert find(scores, metric="accuracy", dataset="c", label="raw activations") > 0.95
    assert find(scores, metric="accuracy_gain", dataset="c", x=1) > 0.15
    for name in ("class 0", "class 1", "class 2"):
        assert find(scores, metric="class_accuracy", dataset="c", x=1, label=name) > 0.9


def test_texts_without_a_difference_are_at_chance(labelled, make_data, find):
    scores = evaluate(
        axes(), make_data({"c": labelled(per_class=200, strength=0)}), Settings(k=[5], control_draws=2), 0
    )
    assert find(scores, metric="accuracy", dataset="c", label="") == pytest.approx(0.5, abs=0.1)


def test_signs_are_split_before_the_mean_over_a_text(labelled, make_data, find):
    corpus = labelled(per_class=60, strength=0)
    loud = np.repeat(corpus.labels == 0, ROWS)
    corpus.activations.x[loud, PLANTED] *= 6
    corpus.activations.x[::2, PLANTED] = corpus.activations.x[::2, PLANTED].abs()
    corpus.activations.x[1::2, PLANTED] = -corpus.activations.x[1::2, PLANTED].abs()
    data = make_data({"c": corpus})
    split, whole = (
        find(evaluate(axes(signed=s), data, Settings(k=[2]), 0), metric="accuracy", dataset="c", label="")
        for s in (True, False)
    )
    assert split > 0.9
    assert whole < 0.8


def test_accuracy_equals_a_direct_computation(labelled, make_data, find):
    """With two classes of equal size every text is used, so that nothing depends on how negatives are drawn."""
    corpus = labelled(strength=0.3)
    scores = evaluate(axes(), make_data({"c": corpus}), Settings(k=[3]), 0)
    pooled = []
    for document in range(len(corpus.labels)):
        rows = corpus.activations.x.numpy().astype(np.float64)[corpus.tokens.docs == document]
        pooled.append([max(v, 0) for v in rows.T.ravel()])
        pooled[-1] = np.concatenate([np.maximum(rows, 0).mean(axis=0), np.maximum(-rows, 0).mean(axis=0)])
    pooled, y = np.array(pooled), corpus.labels
    train, test = corpus.splits == "train", corpus.splits == "test"
    difference = np.abs(pooled[train & (y == 1)].mean(axis=0) - pooled[train & (y == 0)].mean(axis=0))
    columns = np.argsort(difference)[-3:]
    probe = LogisticRegression(max_iter=1000).fit(pooled[train][:, columns], y[train])
    direct = probe.score(pooled[test][:, columns], y[test])
    assert find(scores, metric="accuracy", dataset="c", label="") == pytest.approx(direct)


def test_results_at_one_k_do_not_depend_on_the_other_ks(labelled, make_data, find):
    data = make_data({"c": labelled(classes=3, strength=0.4)})
    alone, among = (evaluate(axes(), data, Settings(k=ks), 0) for ks in ([5], [1, 2, 5, 10]))
    for label in ("", "random coordinates", "shuffled labels"):
        wanted = {"metric": "accuracy", "dataset": "c", "x": 5, "label": label}
        assert find(alone, **wanted) == find(among, **wanted)


@pytest.mark.parametrize("change", [lambda r: r.flip(0), lambda r: -r])
def test_the_order_and_the_signs_of_features_do_not_matter(labelled, make_data, find, change):
    data = make_data({"c": labelled(strength=0.4)})
    changed = LinearDictionary.build(torch.zeros(D), change(torch.eye(D)), change(torch.eye(D)), row_norm=False)
    values = [
        find(evaluate(d, data, Settings(k=[3], control_draws=2), 0), metric="accuracy", dataset="c", label="")
        for d in (axes(), changed)
    ]
    assert values[0] == values[1]


def test_the_mean_over_corpora_is_unweighted_and_less_uncertain(labelled, make_data):
    corpora = {"easy": labelled(per_class=30), "hard": labelled(per_class=60, strength=0.2, seed=1)}
    scores = evaluate(axes(), make_data(corpora), Settings(k=[2]), 0)
    easy, hard, mean = (
        next(s for s in scores if s.metric == "accuracy" and s.dataset == name and s.label == "")
        for name in ("easy", "hard", "all")
    )
    assert mean.value == pytest.approx((easy.value + hard.value) / 2)
    assert mean.ci_high - mean.ci_low < hard.ci_high - hard.ci_low
    assert mean.n == easy.n + hard.n == 30 + 60
    assert not any(s.metric == "class_accuracy" and s.dataset == "all" for s in scores)


def test_the_interval_of_the_gain_is_paired(labelled, make_data):
    scores = evaluate(axes(), make_data({"c": labelled(strength=0.5)}), Settings(k=[2 * D]), 0)
    gain = next(s for s in scores if s.metric == "accuracy_gain" and s.dataset == "c")
    assert (gain.value, gain.ci_low, gain.ci_high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_unlabelled_texts_are_left_out(labelled, make_data):
    corpus = labelled(per_class=20)
    corpus.labels = np.where(np.arange(40) % 8 == 0, -1, corpus.labels)
    parts = pool("c", corpus, axes(), torch.device("cpu"))
    assert len(parts["train"].labels) == 15
    assert len(parts["test"].labels) == 20
    assert (parts["train"].features >= 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.zeros(80, dtype=int)},
        {"splits": np.full(80, "train")},
        {"splits": np.repeat(["train", "test"], 40)},
    ],
)
def test_corpora_that_cannot_be_probed_are_refused(labelled, make_data, changes):
    with pytest.raises(UnweaveError, match=r"^c: needs labelled texts of the same two or more classes"):
        evaluate(axes(), make_data({"c": labelled(**changes)}), Settings(), 0)
