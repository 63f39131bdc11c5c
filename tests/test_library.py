import pytest
import torch

from unweave.errors import UnweaveError
from unweave.library import evaluate, fit
from unweave.methods.dictionary import Dictionary

X = torch.randn(400, 8, generator=torch.Generator().manual_seed(0)).pow(3)


@pytest.fixture(scope="module")
def ica() -> Dictionary:
    return fit(X, "ica", iterations=10)


def test_a_method_is_fitted_to_activations_of_ones_own(ica: Dictionary):
    torch.testing.assert_close(ica.decode(ica.encode(X)), X, rtol=1e-3, atol=1e-3)


def test_an_evaluation_gives_a_row_for_each_score(ica: Dictionary):
    scores = evaluate(ica, X, "reconstruction", k=[0, 8])
    fve = scores[(scores["metric"] == "fve") & (scores["x"] == 8)]
    assert fve["value"].item() == pytest.approx(1, abs=1e-3)
    assert (scores["n"] > 0).all()


def test_unknown_names_are_refused_with_what_is_known(ica: Dictionary):
    with pytest.raises(UnweaveError, match="unknown method"):
        fit(X, "alchemy")
    with pytest.raises(UnweaveError, match="iteration"):
        fit(X, "ica", iteration=3)
    with pytest.raises(UnweaveError, match="unknown evaluation"):
        evaluate(ica, X, "alchemy")


def test_an_evaluation_that_needs_texts_says_so(ica: Dictionary):
    with pytest.raises(UnweaveError):
        evaluate(ica, X, "sparse_probing")
