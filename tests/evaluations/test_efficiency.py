import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.efficiency import Settings, evaluate
from unweave.evaluations.efficiency.fit_costs import COLUMNS, fit_costs, tokens_shown
from unweave.files import MANIFEST
from unweave.methods.dictionary import Fit, Traits, save
from unweave.methods.linear import LinearDictionary
from unweave.methods.raw_dimensions import RawDimensions
from unweave.provenance import record, sidecar

D = 12
KEY = {"model": "m", "site": "resid", "layer": 3, "method": "random", "seed": 0, "device": "cpu"}
DESCRIPTION = {**KEY, "settings": {}, "data": {"n": 70, "d": D}}


@pytest.fixture
def data(make_corpus, make_data):
    return make_data({"c": make_corpus(torch.randn(300, D, generator=torch.Generator().manual_seed(0)))})


@pytest.fixture
def fitted(tmp_path, make_dictionary):
    """Save a dictionary with a record, as the stage does."""

    def make(name="fit", **described):
        folder = tmp_path / name
        diagnostics = described.pop("diagnostics", {})
        save(Fit(make_dictionary(D), diagnostics), folder, {**DESCRIPTION, **described})
        record("fit", [folder / MANIFEST], [], {}, started=0.0)
        return folder

    return make


class Sparse(LinearDictionary):
    """Two codes of each row are not zero."""

    def encode(self, x):
        codes = super().encode(x)
        return codes * (codes.abs() >= codes.abs().topk(2, dim=1).values[:, -1:])


def test_a_complete_basis_has_the_size_that_others_are_compared_with(data, make_dictionary, find):
    scores = evaluate(make_dictionary(D), data, Settings(), 0)
    assert find(scores, metric="parameters") == 2 * D**2 + D
    assert find(scores, metric="parameter_size") == pytest.approx(4 * (2 * D**2 + D) / 2**20)
    assert find(scores, metric="size_ratio") == 1
    for metric in ("encode_operations", "decode_operations", "active_decode_operations"):
        assert find(scores, metric=metric) == 2 * D**2


@given(st.integers(1, 60), st.integers(2, 40))
def test_size_and_operations_grow_with_the_number_of_features_and_not_of_tokens(make_corpus, make_data, features, rows):
    atoms = torch.randn(features, D, generator=torch.Generator().manual_seed(features))
    dictionary = LinearDictionary.build(torch.zeros(D), atoms, atoms)
    scores = evaluate(dictionary, make_data({"c": make_corpus(torch.ones(40, D))}), Settings(rows=rows), 0)
    values = {score.metric: score.value for score in scores}
    assert values["parameters"] == 2 * features * D + D
    assert values["encode_operations"] == values["decode_operations"] == 2 * features * D


def test_sparse_codes_cost_a_decoder_of_active_codes_less(data, make_dictionary, find):
    dense = make_dictionary(D)
    sparse = Sparse(dense.tensors, dense.traits)
    scores = evaluate(sparse, data, Settings(rows=50), 0)
    assert find(scores, metric="decode_operations") == 2 * D**2
    (active,) = (score for score in scores if score.metric == "active_decode_operations")
    assert active.value == active.ci_low == active.ci_high == 2 * D * 2
    assert active.n == 50


def test_raw_dimensions_cost_nothing(data, find):
    scores = evaluate(
        RawDimensions({"center": torch.zeros(D)}, Traits(signed=True, linear=True, firing="dense")), data, Settings(), 0
    )
    for metric in ("encode_operations", "decode_operations", "active_decode_operations"):
        assert find(scores, metric=metric) == 0


def test_the_same_dictionary_has_the_same_scores(data, make_dictionary):
    assert evaluate(make_dictionary(D), data, Settings(), 3) == evaluate(make_dictionary(D), data, Settings(), 3)


def test_a_corpus_of_too_few_rows_is_refused(data, make_dictionary):
    with pytest.raises(UnweaveError, match="c: has 300 rows and 301 are to be encoded"):
        evaluate(make_dictionary(D), data, Settings(rows=301), 0)


def test_costs_are_those_of_the_record_beside_the_fit(fitted):
    batches = {"settings": {"tokens": 1000, "batch_size": 64}, "method": "sae"}
    table = fit_costs([fitted(), fitted("trained", **batches)])
    assert tuple(table.columns) == COLUMNS
    assert table["method"].tolist() == ["random", "sae"]
    assert table["rows"].tolist() == [70, 70]
    assert table["tokens"].isna().tolist() == [True, False]
    assert (table["peak_memory_bytes"] > 2**20).all()
    assert (table["wall_seconds"] > 0).all()


def test_the_same_records_give_the_same_table(fitted):
    folder = fitted()
    assert fit_costs([folder]).to_csv() == fit_costs([folder]).to_csv()


def test_a_record_that_is_lacking_damaged_or_of_another_fit_is_refused(fitted):
    folder = fitted()
    path = sidecar(folder / MANIFEST)
    kept = path.read_text()
    other = {**json.loads(kept), "sha256": "0" * 64}
    path.write_text(json.dumps(other))
    with pytest.raises(UnweaveError, match="a damaged record"):
        fit_costs([folder])
    del other["seal"]
    path.write_text(json.dumps(other))
    with pytest.raises(UnweaveError, match="another fit"):
        fit_costs([folder])
    for damaged in ("{", "[]", "{}"):
        path.write_text(damaged)
        with pytest.raises(UnweaveError, match=r"a damaged record|not a readable record"):
            fit_costs([folder])
    path.unlink()
    with pytest.raises(UnweaveError, match="not a readable record"):
        fit_costs([folder])


@pytest.mark.parametrize(
    ("settings", "diagnostics", "tokens"),
    [
        ({"tokens": 1000, "batch_size": 64}, {}, 960),
        ({"tokens": 10, "batch_size": 64}, {}, 64),
        ({"tokens": 1000, "batch_size": 64}, {"steps": 7}, 448),
        ({"tokens": 1000, "batch_size": 64}, {"steps": 0}, 0),
        ({"iterations": 50}, {"iterations": 50}, None),
    ],
)
def test_tokens_shown_are_steps_that_were_made_times_their_size(settings, diagnostics, tokens):
    assert tokens_shown(settings, diagnostics) == tokens
