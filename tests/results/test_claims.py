import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.results import claims
from unweave.results.claims import Claim, difference_interval, scorecard, verdict

COMPARISON = {
    "where": {"evaluation": "tpp", "metric": "tpp"},
    "left": {"method": "ica"},
    "right": {"method": "sae"},
    "direction": "higher",
}


def claim(**test):
    changed = {**COMPARISON, **test}
    return Claim.model_validate({"paper": "ica", "text": "t", "where_printed": "p", "test": changed})


def judged(tables, **test):
    return scorecard({"c": claim(**test)}, pd.concat(tables, ignore_index=True)).iloc[0]


finite = st.floats(-100, 100)


@given(finite, st.floats(0, 10), st.floats(0, 10), finite, st.floats(0, 10), st.floats(0, 10))
def test_a_difference_changes_sign_when_its_sides_change_places(a, a_below, a_above, b, b_below, b_above):
    left, right = (a, a - a_below, a + a_above), (b, b - b_below, b + b_above)
    value, low, high = difference_interval(left, right)
    back, back_low, back_high = difference_interval(right, left)
    assert (back, back_low, back_high) == pytest.approx((-value, -high, -low), abs=1e-9)
    assert low <= value <= high


def test_intervals_of_equal_width_add_as_independent_errors_do():
    _, low, high = difference_interval((3.0, 2.0, 4.0), (1.0, 0.0, 2.0))
    assert (low, high) == pytest.approx((2 - math.sqrt(2), 2 + math.sqrt(2)))


def test_an_exact_number_adds_no_width():
    assert difference_interval((3.0, 2.5, 3.5), (1.0, 1.0, 1.0)) == pytest.approx((2.0, 1.5, 2.5))


@pytest.mark.parametrize(
    ("low", "high", "direction", "by", "expected"),
    [
        (0.1, 0.3, "higher", 0.0, "holds"),
        (-0.1, 0.3, "higher", 0.0, "undecided"),
        (-0.3, -0.1, "higher", 0.0, "fails"),
        (-0.3, -0.1, "lower", 0.0, "holds"),
        (0.1, 0.3, "lower", 0.0, "fails"),
        (0.1, 0.3, "higher", 0.5, "fails"),
        (-0.01, 0.01, "higher", -0.02, "holds"),
        (0.0, 0.0, "higher", 0.0, "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, direction, by, expected):
    assert verdict(low, high, direction, by) == expected


def test_two_arms_are_compared_at_the_layers_and_corpora_that_both_have(made_up):
    tables = [
        made_up("ica", ("tpp", 0.5, 0.4, 0.6)),
        made_up("sae", ("tpp", 0.1, 0.0, 0.2)),
        made_up("ica", ("tpp", 0.0, -0.1, 0.1), layer=20),
    ]
    row = judged(tables)
    assert row["verdict"] == "holds"
    assert (row["difference"], row["compared"], row["left"], row["right"]) == (pytest.approx(0.4), 1, "ica", "sae")


def test_over_layers_the_mean_difference_counts(made_up):
    tables = [made_up("ica", ("tpp", 0.5, 0.4, 0.6), layer=layer) for layer in (2, 10)]
    tables += [made_up("sae", ("tpp", value, value, value), layer=layer) for layer, value in ((2, 0.1), (10, 0.8))]
    row = judged(tables)
    assert (row["difference"], row["compared"], row["verdict"]) == (pytest.approx(0.05), 2, "undecided")


def test_a_constant_and_two_points_of_one_curve_can_be_sides(made_up):
    curve = made_up("ica", *(("tpp", x / 10, x / 10, x / 10, {"x_name": "n", "x": x}) for x in (1, 5)))
    row = judged([curve], left={"method": "ica", "x_name": "n", "x": 5}, right=0.4)
    assert (row["verdict"], row["right"]) == ("holds", "0.4")
    row = judged(
        [curve],
        where={"evaluation": "tpp", "metric": "tpp", "method": "ica", "x_name": "n"},
        left={"x": 5},
        right={"x": 1},
    )
    assert row["difference"] == pytest.approx(0.4)
    assert (row["left"], row["right"]) == ("n = 5", "n = 1")


def test_a_model_without_training_is_another_side(made_up):
    tables = [
        made_up("ica", ("tpp", 0.5, 0.5, 0.5)),
        made_up("ica", ("tpp", 0.2, 0.2, 0.2), revision="r0, random weights 0"),
    ]
    where = {"evaluation": "tpp", "metric": "tpp", "method": "ica"}
    row = judged(tables, where=where, left={"trained": True}, right={"trained": False})
    assert row["difference"] == pytest.approx(0.3)


def test_what_was_not_measured_is_not_judged(made_up):
    row = judged([made_up("ica", ("tpp", 0.5, 0.4, 0.6))])
    assert row["verdict"] == "not testable here"
    assert row["reason"] == "no scores of ica beside sae in this run"


def test_a_mean_of_which_some_layers_hold_and_others_fail_decides_nothing(made_up):
    values = {(2, "ica"): 0.9, (2, "sae"): 0.1, (10, "ica"): 0.1, (10, "sae"): 0.2}
    tables = [made_up(arm, ("tpp", value, value, value), layer=layer) for (layer, arm), value in values.items()]
    row = judged(tables)
    assert row["difference"] == pytest.approx(0.35)
    assert (row["verdict"], row["reason"]) == ("undecided", "holds in 1 and fails in 1 of 2")


def test_sides_that_say_nothing_are_not_judged(made_up):
    tables = [made_up(arm, ("tpp", value, value, value)) for arm, value in (("ica", 0.9), ("sae", 0.1))]
    tables.append(made_up("sae", ("fvu", 0.95, None, None)))
    void = {"metric": "fvu", "above": 0.9, "because": "the fit has collapsed"}
    row = judged(tables, void=void)
    assert (row["verdict"], row["reason"]) == ("not testable here", "the fit has collapsed: fvu 0.95")
    assert judged(tables, void={**void, "above": 0.96})["verdict"] == "holds"
    assert judged(tables[:2], void=void)["verdict"] == "holds"


def test_a_method_at_another_site_can_be_left_out(made_up):
    there = made_up("sae", ("tpp", 0.9, 0.9, 0.9), site="mlp_neurons")
    tables = [made_up(arm, ("tpp", value, value, value)) for arm, value in (("ica", 0.5), ("sae", 0.1))] + [there]
    assert judged(tables)["compared"] == 2
    assert judged(tables, right={"method": "sae", "site": "resid"})["difference"] == pytest.approx(0.4)


def test_what_cannot_be_tested_says_why(made_up):
    said = Claim(paper="bae", text="t", where_printed="p", not_testable="it needs people")
    row = scorecard({"c": said}, made_up("ica", ("tpp", 0.5, 0.4, 0.6))).iloc[0]
    assert (row["verdict"], row["reason"]) == ("not testable here", "it needs people")


def test_a_claim_without_a_test_or_a_reason_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("some-claim: { paper: ica, text: t, where_printed: p }")
    with pytest.raises(UnweaveError, match=r"claims.yaml: some-claim: .*either `test` or `not_testable`"):
        claims.read(path)


def test_every_claim_of_the_papers_names_where_it_is_printed():
    found = claims.read()
    assert {claim.paper for claim in found.values()} == {"ica", "bae", "snmf", "sasa"}
    assert all(claim.where_printed and claim.text.endswith(".") for claim in found.values())
