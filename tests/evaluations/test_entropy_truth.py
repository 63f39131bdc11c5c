from dataclasses import replace

import numpy as np
import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.code_entropy import bits_of
from unweave.evaluations.entropy_truth import Settings, evaluate
from unweave.evaluations.entropy_truth.worlds import draw, true_bits
from unweave.evaluations.run import refitting

QUICK = Settings(directions=[3], kinds=["independent", "sparse"], d=16, rows=1500, replaced={"tokens": 60_000})
BAE = {
    "method_module": "bae",
    "seed": 0,
    "settings": {"gradient": "sigmoid", "entropy_weight": 1e-3, "covariance_weight": 0.0, "batch_size": 256},
}


@pytest.mark.parametrize("kind", ["independent", "sparse", "correlated", "overcomplete"])
def test_the_planted_codes_have_the_stated_entropy(kind):
    _, codes = draw(kind, 5, 60_000, 32, np.random.default_rng(0))
    assert bits_of(torch.from_numpy(codes)).joint == pytest.approx(true_bits(kind, 5), abs=0.01)


def test_an_overcomplete_world_has_fewer_dimensions_than_directions():
    rows, codes = draw("overcomplete", 12, 100, 64, np.random.default_rng(0))
    assert rows.shape == (100, 6)
    assert codes.shape == (100, 12)


def test_estimates_stand_beside_the_truth_and_beside_no_method_at_all(make_data, make_dictionary, find):
    data = replace(make_data({}), refit=refitting(BAE, torch.device("cpu")))
    scores = evaluate(make_dictionary(16), data, QUICK, 0)
    fair = {"dataset": "planted, independent", "x": 3.0}
    assert find(scores, metric="entropy_joint_ratio", label="planted codes", **fair) == pytest.approx(1, abs=0.02)
    assert find(scores, metric="entropy_joint_ratio", label="", **fair) == pytest.approx(1, abs=0.1)
    assert find(scores, metric="entropy_sum", label="", **fair) > 3
    assert find(scores, metric="entropy_sum_ratio", label="random signs", **fair) == pytest.approx(1, abs=0.05)
    assert find(scores, metric="fvu", label="", **fair) < 0.2


def test_a_dictionary_that_cannot_be_fitted_again_is_refused(make_data, make_dictionary):
    with pytest.raises(UnweaveError, match="fitted anew"):
        evaluate(make_dictionary(16), make_data({}), QUICK, 0)
