import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.matched_budget import CONTROL, Budget, Settings, evaluate, log2_choices
from unweave.evaluations.run import refitting
from unweave.methods.fit import method_module
from unweave.methods.sasa.dictionary import SubspaceDictionary

D = 16
CPU = torch.device("cpu")
QUICK = Settings(
    budgets=[Budget(active=count, settings={"active_groups": count // 2, "gate.k": count}) for count in (2, 4, 8)],
    tokens=[640, 1280],
    method_settings={"groups": 16, "group_size": 2, "n_features": 32, "batch_size": 64, "warmup_steps": 2},
)


def of_groups(active, size=2):
    tensors = {"encoder": torch.eye(D), "decoder": torch.eye(D)}
    tensors |= {"encoder_bias": torch.zeros(D), "decoder_bias": torch.zeros(D)}
    return SubspaceDictionary.build(tensors, group_size=size, active_groups=active, layer_norm=False)


@pytest.fixture
def corpora(make_corpus):
    """Coordinates of falling spread about a mean, one sample to fit and one to measure on."""
    spread = torch.linspace(2, 0.2, D)
    draw = torch.Generator().manual_seed(0)
    return {name: make_corpus(1 + spread * torch.randn(900, D, generator=draw)) for name in ("fitted", "heldout")}


def data_with(corpora, refit):
    return EvaluationData("resid", 1, CPU, None, corpora, refit)


def test_each_budget_fits_the_first_corpus_and_the_middle_one_every_number_of_tokens(corpora, find):
    calls = []

    def refit(activations, replaced):
        calls.append((activations is corpora["fitted"].activations, replaced["active_groups"], replaced["tokens"]))
        return of_groups(replaced["active_groups"])

    scores = evaluate(of_groups(1), data_with(corpora, refit), QUICK, 0)
    assert calls == [(True, 1, 1280), (True, 2, 1280), (True, 4, 1280), (True, 2, 640)]
    assert {s.dataset for s in scores} == {"heldout"}
    keys = [(s.metric, s.label, s.x_name, s.x) for s in scores]
    assert len(set(keys)) == len(keys)
    for active in (2, 4, 8):
        assert find(scores, metric="l0", label="", x_name="active codes", x=active) == active
        bits = find(scores, metric="support_bits", x_name="active codes", x=active)
        assert bits == pytest.approx(math.log2(math.comb(8, active // 2)))
    shared = find(scores, metric="fve", label="", x_name="active codes", x=4)
    assert find(scores, metric="fve", x_name="training tokens", x=1280) == shared


def test_principal_directions_are_the_best_that_all_tokens_can_share(corpora, find):
    scores = evaluate(of_groups(1), data_with(corpora, lambda *_: of_groups(1)), QUICK, 0)
    kept = [find(scores, metric="fve", label=CONTROL, x=active) for active in (2, 4, 8)]
    assert kept == sorted(kept)
    variances = torch.linspace(2, 0.2, D).square()
    for active, value in zip((2, 4, 8), kept, strict=True):
        assert value == pytest.approx(float(variances[:active].sum() / variances.sum()), abs=0.04)
        assert find(scores, metric="l0", label=CONTROL, x=active) == active


@pytest.mark.parametrize(
    ("module", "content"),
    [
        ("sasa", {"initial_bias": "geometric_median", "layer_norm": False, "learning_rate": 3e-3}),
        ("sae", {"gate": {"kind": "topk", "k": 1, "signed": True}, "learning_rate": 3e-3}),
    ],
)
def test_groups_and_single_codes_get_as_many_active_codes_and_more_of_them_rebuild_more(module, content, corpora, find):
    stated = method_module(module).Settings.model_validate(content).model_dump(mode="json")
    refit = refitting({"method_module": module, "settings": stated, "seed": 0}, CPU)
    chosen = QUICK.model_copy(update={"tokens": [6400]})
    with torch.inference_mode():
        scores = evaluate(of_groups(1), data_with(corpora, refit), chosen, 0)
    rebuilt = [find(scores, metric="fve", label="", x_name="active codes", x=active) for active in (2, 4, 8)]
    assert rebuilt == sorted(rebuilt)
    for active in (2, 4, 8):
        assert find(scores, metric="l0", label="", x_name="active codes", x=active) == pytest.approx(active, abs=0.1)


@given(st.integers(1, 200), st.data())
def test_choices_are_binomials_between_which_fractions_lie(units, data):
    fired = data.draw(st.integers(0, units))
    assert log2_choices(units, fired) == pytest.approx(math.log2(math.comb(units, fired)), abs=1e-6)
    assert log2_choices(units, fired) == pytest.approx(log2_choices(units, units - fired), abs=1e-6)


def test_groups_are_cheaper_to_name_than_single_codes():
    assert log2_choices(128, 4) < log2_choices(512, 16) / 4


def test_bad_input_is_refused_with_its_mend(corpora, make_dictionary):
    with pytest.raises(UnweaveError, match="needs two corpora, one to fit and one to measure on, got 1"):
        evaluate(of_groups(1), data_with({"a": corpora["fitted"]}, lambda *_: of_groups(1)), QUICK, 0)
    with pytest.raises(UnweaveError, match="codes are dense"):
        evaluate(make_dictionary(D), data_with(corpora, lambda *_: of_groups(1)), QUICK, 0)
    with pytest.raises(UnweaveError, match="how this dictionary was fitted is not recorded"):
        evaluate(of_groups(1), data_with(corpora, None), QUICK, 0)

    def refuses(*_):
        raise UnweaveError("fewer rows than one batch")

    with pytest.raises(UnweaveError, match=r"^fitted, 2 active codes: fewer rows than one batch"):
        evaluate(of_groups(1), data_with(corpora, refuses), QUICK, 0)
