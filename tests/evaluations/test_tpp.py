import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.probe_ablation import strongest, strongest_saebench, without_columns
from unweave.evaluations.tpp import RANDOM, Settings, evaluate, perturbation
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary
from unweave.methods.sae.dictionary import SparseAutoencoder
from unweave.methods.sasa.dictionary import SubspaceDictionary

D, ROWS, CLASSES = 12, 6, 3
QUICK = Settings(n=[1, 2, 4], control_draws=4)


def axes(permutation=None, scale=1.0, *, row_norm=False):
    identity = torch.eye(D) if permutation is None else torch.eye(D)[permutation]
    tensors = {"center": torch.zeros(D), "readers": identity * scale, "atoms": identity / scale}
    return LinearDictionary(tensors, Traits(signed=True, linear=True, normalisation="row_norm" if row_norm else "none"))


def relu_autoencoder(bias=0.0):
    tensors = {"W_enc": torch.eye(D), "center": torch.zeros(D), "b_enc": torch.full((D,), bias)}
    tensors |= {"W_dec": torch.eye(D), "b_dec": torch.zeros(D)}
    return SparseAutoencoder(tensors, Traits(signed=False, linear=False), {"gate": "relu"})


@pytest.fixture
def labelled(make_corpus):
    """Texts of which class c writes on coordinate c."""

    def make(strength=2.0, per_class=40, seed=0, rows=ROWS):
        generator = torch.Generator().manual_seed(seed)
        m = CLASSES * per_class
        labels = np.repeat(np.arange(CLASSES), per_class)
        x = torch.randn(m, rows, D, generator=generator)
        for label in range(CLASSES):
            x[labels == label, :, label] += strength
        facts = {
            "labels": labels,
            "splits": np.where(np.arange(m) % 2, "test", "train"),
            "label_names": [f"class {label}" for label in range(CLASSES)],
        }
        return make_corpus(x.reshape(-1, D), documents=m, **facts)

    return make


def test_ablating_the_feature_of_a_class_hurts_its_probe_alone(labelled, make_data, find):
    scores = evaluate(axes(), make_data({"c": labelled()}), QUICK, 0)
    assert find(scores, metric="probe_accuracy") > 0.95
    assert find(scores, metric="tpp_intended", label="", x=1) > 0.25
    assert find(scores, metric="tpp_unintended", label="", x=1) < 0.1
    assert find(scores, metric="tpp", label="", x=1) > 0.2
    assert find(scores, metric="class_tpp", label="class 1", x=1) > 0.1


def test_random_features_hurt_no_probe_in_particular(labelled, make_data):
    scores = evaluate(axes(), make_data({"c": labelled(per_class=60)}), Settings(n=[2], control_draws=30), 0)
    (control,) = (s for s in scores if s.metric == "tpp" and s.label == RANDOM)
    assert abs(control.value) < 0.05
    assert control.ci_low <= 0.02


def test_texts_without_a_difference_have_nothing_to_perturb(labelled, make_data, find):
    scores = evaluate(axes(), make_data({"c": labelled(strength=0.0, per_class=200)}), QUICK, 0)
    assert find(scores, metric="tpp", label="", x=1) == pytest.approx(0, abs=0.12)


@pytest.mark.parametrize("row_norm", [False, True])
def test_pooled_codes_say_what_ablating_every_token_says(labelled, make_data, row_norm):
    """A dictionary that does not add up takes the path through the tokens; told to, one that adds up must agree."""

    class Opaque(LinearDictionary):
        def row_scales(self, x):  # noqa: ARG002
            return None

    dictionary = axes(row_norm=row_norm)
    opaque = Opaque(dictionary.tensors, dictionary.traits)
    data = make_data({"c": labelled(strength=0.5)})
    by_pooling, by_tokens = (evaluate(d, data, QUICK, 0) for d in (dictionary, opaque))
    assert [(s.metric, s.label, s.x, s.value) for s in by_pooling] == [
        (s.metric, s.label, s.x, s.value) for s in by_tokens
    ]


def test_scale_order_and_signs_of_features_do_not_matter(labelled, make_data):
    data = make_data({"c": labelled(strength=0.5)})
    first = evaluate(axes(), data, QUICK, 0)
    for other in (axes(scale=3.0), axes(scale=-1.0), axes(permutation=list(reversed(range(D))))):
        again = evaluate(other, data, QUICK, 0)
        assert [(s.metric, s.value) for s in first if s.label != RANDOM] == [
            (s.metric, s.value) for s in again if s.label != RANDOM
        ]


def test_the_list_of_n_does_not_change_the_numbers(labelled, make_data, find):
    data = make_data({"c": labelled(strength=0.5)})
    alone, among = (evaluate(axes(), data, Settings(n=n), 0) for n in ([4], [1, 2, 4, 8]))
    wanted = {"metric": "tpp", "label": "", "x": 4}
    assert find(alone, **wanted) == find(among, **wanted)


def test_in_saebench_the_list_of_n_does_change_the_numbers(labelled, make_data, find):
    data = make_data({"c": labelled(strength=0.3, per_class=70)})
    alone, among = (
        evaluate(relu_autoencoder(), data, Settings(n=n, saebench_compat=True), 0) for n in ([4], [1, 2, 4])
    )
    wanted = {"metric": "tpp", "label": "", "x": 4}
    assert find(alone, **wanted) != find(among, **wanted)


def test_padding_leaks_in_saebench_and_not_here(labelled, make_data, find):
    data = make_data({"c": labelled(strength=0.5)})
    values = {
        (compat, context): find(
            evaluate(relu_autoencoder(0.5), data, Settings(n=[4], saebench_compat=compat, context=context), 0),
            metric="tpp",
            label="",
            x=4,
        )
        for compat in (False, True)
        for context in (ROWS, 64)
    }
    assert values[False, ROWS] == values[False, 64]
    assert values[True, ROWS] != values[True, 64]


def test_groups_count_as_features_and_their_codes_as_columns(labelled, make_data, find):
    generator = torch.Generator().manual_seed(1)
    turn = torch.block_diag(*[torch.linalg.qr(torch.randn(3, 3, generator=generator))[0] for _ in range(D // 3)])
    order = [0, 4, 5, 1, 6, 7, 2, 8, 9, 3, 10, 11]
    decoder = turn @ torch.eye(D)[order]
    tensors = {"encoder": decoder, "decoder": decoder, "encoder_bias": torch.zeros(D), "decoder_bias": torch.zeros(D)}
    grouped = SubspaceDictionary.build(tensors, group_size=3, active_groups=4, layer_norm=False)
    scores = evaluate(grouped, make_data({"c": labelled()}), Settings(n=[1, 3]), 0)
    assert find(scores, metric="tpp", label="", x=1) > 0.2
    assert find(scores, metric="tpp", label="columns", x=3) > 0.15
    assert find(scores, metric="tpp", label="columns", x=1) < find(scores, metric="tpp", label="", x=1)


@given(st.integers(2, 5), st.integers(0, 99))
def test_nothing_ablated_is_no_perturbation(classes, seed):
    clean = list(np.random.default_rng(seed).random((classes, 3)))
    assert all((values == 0).all() for values in perturbation(clean, [clean] * classes).values())


def test_the_perturbation_is_the_intended_drop_minus_the_mean_of_the_others():
    clean = [np.array([a]) for a in (0.9, 0.8, 0.7)]
    ablated = [[np.array([a]) for a in row] for row in ((0.5, 0.8, 0.6), (0.9, 0.6, 0.7), (0.8, 0.8, 0.6))]
    found = perturbation(clean, ablated)
    np.testing.assert_allclose(found["tpp"][:, 0], [0.4 - 0.05, 0.2 - 0.0, 0.1 - 0.05], atol=1e-12)


def test_features_without_effect_are_ablated_in_saebench_alone():
    effect = np.array([0.5, 0.0, -0.2, 0.0])
    assert strongest(effect, 3).tolist() == [0]
    assert set(strongest_saebench(effect, 3).tolist()) < {0, 1, 3}
    assert len(strongest_saebench(effect, 3)) == 2


@settings(max_examples=30)
@given(st.lists(st.integers(0, 7), max_size=5), st.integers(0, 99))
def test_removing_split_columns_is_removing_parts_of_the_split_codes(columns, seed):
    codes = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))
    edited = without_columns(codes, torch.tensor(columns, dtype=torch.long), split=True)
    parts = torch.cat([codes.relu(), (-codes).relu()], dim=1)
    parts[:, columns] = 0
    torch.testing.assert_close(edited, parts[:, :4] - parts[:, 4:])


def test_a_text_that_does_not_fit_into_the_context_is_refused(labelled, make_data):
    with pytest.raises(UnweaveError, match=r"^c: a text of 6 tokens does not fit into 5"):
        evaluate(relu_autoencoder(), make_data({"c": labelled()}), Settings(saebench_compat=True, context=5), 0)


def test_every_dictionary_says_whether_its_decoding_adds_up():
    assert isinstance(axes(), Dictionary)
    assert axes().row_scales(torch.ones(2, D)).tolist() == [[1.0], [1.0]]
    assert axes(row_norm=True).row_scales(torch.ones(2, D)) is None
