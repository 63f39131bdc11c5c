import numpy as np
import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.reconstruction import Settings, evaluate
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary

D = 8


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(300, D, generator=generator) @ torch.randn(D, D, generator=generator) + 2


def curve(scores, metric):
    return {s.x: s.value for s in scores if s.metric == metric}


def oblique(seed=3):
    readers = torch.randn(D, D, generator=torch.Generator().manual_seed(seed))
    return readers, torch.linalg.inv(readers).T


class Rectified(LinearDictionary):
    form = "test.Rectified"

    def encode(self, x):
        return super().encode(x).relu()


@pytest.mark.parametrize("row_norm", [False, True])
def test_all_codes_of_a_complete_basis_rebuild_everything(x, make_corpus, make_data, make_dictionary, row_norm):
    scores = evaluate(make_dictionary(D, row_norm=row_norm), make_data({"c": make_corpus(x)}), Settings(), 0)
    assert curve(scores, "fve")[D] == pytest.approx(1, abs=1e-6)
    assert curve(scores, "cosine")[D] == pytest.approx(1, abs=1e-6)
    assert curve(scores, "nmse")[D] == pytest.approx(0, abs=1e-6)
    assert curve(scores, "l0")[D] == D


def test_the_mean_alone_explains_nothing(x, make_corpus, make_data):
    identity = torch.eye(D)
    dictionary = LinearDictionary.build(x.mean(dim=0), identity, identity, row_norm=False)
    scores = evaluate(dictionary, make_data({"c": make_corpus(x)}), Settings(k=[0]), 0)
    assert curve(scores, "fve")[0] == pytest.approx(0, abs=1e-6)
    assert curve(scores, "l0")[0] == 0


def test_scores_agree_with_a_direct_computation(x, make_corpus, make_data):
    readers, atoms = oblique()
    dictionary = LinearDictionary.build(x.mean(dim=0), readers, atoms, row_norm=False)
    scores = evaluate(dictionary, make_data({"c": make_corpus(x)}), Settings(k=[3]), 0)
    rows, w, a, center = (t.double().numpy() for t in (x, readers, atoms, x.mean(dim=0)))
    rebuilt = []
    for row in rows:
        codes = w @ (row - center)
        strongest = sorted(range(D), key=lambda j: -abs(codes[j]) * np.linalg.norm(a[j]))[:3]
        rebuilt.append(center + sum(codes[j] * a[j] for j in strongest))
    y = np.array(rebuilt)
    error = ((rows - y) ** 2).sum(axis=1)
    cosine = (rows * y).sum(axis=1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(y, axis=1)
    nmse = error / (rows**2).sum(axis=1)
    fve = 1 - error.sum() / ((rows - rows.mean(axis=0)) ** 2).sum()
    assert curve(scores, "fve")[3] == pytest.approx(fve, abs=1e-5)
    assert curve(scores, "cosine")[3] == pytest.approx(cosine.mean(), abs=1e-5)
    assert curve(scores, "nmse")[3] == pytest.approx(nmse.mean(), abs=1e-5)
    assert curve(scores, "cosine_p10")[3] == pytest.approx(np.quantile(cosine, 0.1), abs=1e-5)
    assert curve(scores, "nmse_median")[3] == pytest.approx(np.median(nmse), abs=1e-5)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("permuted", lambda r, a: (r.flip(0), a.flip(0))),
        ("sign-flipped", lambda r, a: (-r, -a)),
        (
            "scaled against each other",
            lambda r, a: (r * torch.arange(1, D + 1)[:, None], a / torch.arange(1, D + 1)[:, None]),
        ),
    ],
)
def test_scores_do_not_change_when_codes_are(case, change, x, make_corpus, make_data):
    readers, atoms = oblique()
    data, settings = make_data({"c": make_corpus(x)}), Settings(k=[0, 2, 5])
    plain, changed = (
        [s.value for s in evaluate(LinearDictionary.build(x.mean(dim=0), r, a, row_norm=False), data, settings, 0)]
        for r, a in ((readers, atoms), change(readers, atoms))
    )
    np.testing.assert_allclose(plain, changed, atol=1e-4)


def test_row_normalised_reconstructions_get_their_norm_back(x, make_corpus, make_data, make_dictionary):
    data, settings = make_data({"c": make_corpus(x)}), Settings(k=[2])
    raw, normed = (evaluate(make_dictionary(D, row_norm=r), data, settings, 0) for r in (False, True))
    assert curve(normed, "cosine")[2] == pytest.approx(curve(raw, "cosine")[2], abs=1e-6)
    assert curve(normed, "nmse")[2] == pytest.approx(np.mean(2 - 2 * curve(normed, "cosine")[2]), abs=1e-5)


def test_a_sparse_dictionary_is_measured_at_its_own_number_of_active_codes(x, make_corpus, make_data):
    identity = torch.eye(D)
    tensors = {"center": x.mean(dim=0), "readers": identity, "atoms": identity}
    dictionary = Rectified(tensors, Traits(signed=False, linear=False))
    active = (dictionary.encode(x) != 0).float().sum(dim=1)
    scores = evaluate(dictionary, make_data({"c": make_corpus(x)}), Settings(k=[1, 3]), 0)
    assert curve(scores, "l0")[D] == pytest.approx(active.mean().item())
    assert curve(scores, "l0")[3] == pytest.approx(active.clamp_max(3).mean().item())


def test_k_beyond_the_number_of_features_is_left_out(x, make_corpus, make_data, make_dictionary):
    scores = evaluate(make_dictionary(D), make_data({"c": make_corpus(x)}), Settings(k=[1, D, 100]), 0)
    assert sorted(curve(scores, "fve")) == [1, D]


def test_more_codes_never_explain_less_of_an_orthonormal_basis(x, make_corpus, make_data, make_dictionary):
    scores = evaluate(make_dictionary(D), make_data({"c": make_corpus(x)}), Settings(k=list(range(D))), 0)
    values = [value for _, value in sorted(curve(scores, "nmse").items())]
    assert values == sorted(values, reverse=True)


def test_intervals_surround_the_value_and_come_from_documents(x, make_corpus, make_data, make_dictionary):
    few, many = (
        next(
            s
            for s in evaluate(make_dictionary(D), make_data({"c": make_corpus(x, documents=m)}), Settings(k=[2]), 0)
            if s.metric == "fve" and s.x == 2
        )
        for m in (2, 100)
    )
    assert few.value == pytest.approx(many.value)
    assert many.ci_low < many.value < many.ci_high
    assert many.n == len(x)


def test_a_constant_corpus_is_refused(make_corpus, make_data, make_dictionary):
    with pytest.raises(UnweaveError, match=r"^c: all activations are equal"):
        evaluate(make_dictionary(D), make_data({"c": make_corpus(torch.ones(50, D) * 3.1)}), Settings(), 0)


def test_only_the_interface_is_asked_for(x, make_corpus, make_data):
    class Identity(Dictionary):
        form = "test.Identity"
        atoms = torch.eye(D)

        def encode(self, x):
            return x

        def decode(self, codes, like=None):  # noqa: ARG002
            return codes

    scores = evaluate(Identity({}, Traits(signed=True, linear=False)), make_data({"c": make_corpus(x)}), Settings(), 0)
    assert curve(scores, "fve")[D] == 1
