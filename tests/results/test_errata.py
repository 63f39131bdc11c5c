import pandas as pd
import pytest

from unweave.errors import UnweaveError
from unweave.results import errata
from unweave.results.errata import Erratum, table

COMPARED = {
    "what": "TPP",
    "where": {"evaluation": "tpp", "metric": "tpp"},
    "faithful": {"method": "released"},
    "fixed": {"method": "ours"},
}


def erratum(compared=(COMPARED,)):
    return Erratum.model_validate({"title": "T", "problem": "P", "done": "D", "compared": list(compared)})


def test_both_sides_stand_beside_their_difference(made_up):
    scores = pd.concat([made_up("released", ("tpp", 0.5, 0.4, 0.6)), made_up("ours", ("tpp", 0.2, 0.2, 0.2))])
    row = table([erratum()], scores).iloc[0]
    assert (row["faithful"], row["fixed"]) == (0.5, 0.2)
    assert (row["difference"], row["ci_low"], row["ci_high"]) == pytest.approx((-0.3, -0.4, -0.2))


def test_a_side_that_was_not_measured_is_missing_and_no_difference_is_made_up(made_up):
    row = table([erratum()], made_up("ours", ("tpp", 0.2, 0.1, 0.3))).iloc[0]
    assert pd.isna(row["faithful"])
    assert row["fixed"] == 0.2
    assert pd.isna(row["difference"])


def test_a_number_without_an_interval_gets_none_and_neither_does_the_difference(made_up):
    scores = pd.concat([made_up("released", ("tpp", 0.5, None, None)), made_up("ours", ("tpp", 0.2, 0.1, 0.3))])
    row = table([erratum()], scores).iloc[0]
    assert row[["faithful_low", "faithful_high", "ci_low", "ci_high"]].isna().all()
    assert (row["fixed_low"], row["fixed_high"]) == (0.1, 0.3)
    assert row["difference"] == pytest.approx(-0.3)


def test_an_interval_that_one_of_several_layers_lacks_is_missing(made_up):
    scores = pd.concat([made_up("ours", ("tpp", 0.2, 0.1, 0.3)), made_up("ours", ("tpp", 0.4, None, None), layer=2)])
    row = table([erratum()], scores).iloc[0]
    assert row["fixed"] == pytest.approx(0.3)
    assert pd.isna(row["fixed_low"])


@pytest.mark.parametrize(("units", "said"), [(("bits", "bits"), "bits"), (("units", "codes"), "units → codes")])
def test_both_units_are_named_where_they_differ(made_up, units, said):
    scores = [
        made_up(name, ("tpp", 1, 1, 1, {"unit": unit})) for name, unit in zip(("released", "ours"), units, strict=True)
    ]
    assert table([erratum()], pd.concat(scores)).iloc[0]["unit"] == said


def test_what_is_only_noted_has_no_row(made_up):
    found = table([erratum(compared=()), erratum()], made_up("ours", ("tpp", 0.2, 0.1, 0.3)))
    assert found["compared"].tolist() == ["TPP"]


def test_a_comparison_that_names_no_score_is_refused(tmp_path):
    path = tmp_path / "errata.yaml"
    path.write_text(
        "ica: [{ title: T, problem: P, done: D, compared: [{ what: W, where: {}, faithful: {}, fixed: {} }] }]"
    )
    with pytest.raises(UnweaveError, match=r"errata.yaml: ica.0.compared.0"):
        errata.read(path)


def test_an_erratum_that_does_not_say_what_is_done_is_refused(tmp_path):
    path = tmp_path / "errata.yaml"
    path.write_text("ica: [{ title: T, problem: P }]")
    with pytest.raises(UnweaveError, match=r"errata.yaml: ica.0.done"):
        errata.read(path)


def test_every_paper_has_errata_with_numbers_and_noted_ones_each_of_a_title_of_its_own():
    known = errata.read()
    assert set(known) == {"ica", "bae", "snmf", "sasa"}
    for entries in known.values():
        assert {bool(entry.compared) for entry in entries} == {True, False}
        assert len({entry.title for entry in entries}) == len(entries)
