import pandas as pd
import pytest

from unweave.errors import UnweaveError
from unweave.results import errata
from unweave.results.errata import Erratum, table


def erratum(**changes):
    compared = {
        "what": "TPP",
        "where": {"evaluation": "tpp", "metric": "tpp"},
        "faithful": {"method": "released"},
        "fixed": {"method": "ours"},
    }
    return Erratum.model_validate({"title": "T", "problem": "P", "compared": [{**compared, **changes}]})


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


def test_a_comparison_that_names_no_score_is_refused(tmp_path):
    path = tmp_path / "errata.yaml"
    path.write_text("ica: [{ title: T, problem: P, compared: [{ what: W, where: {}, faithful: {}, fixed: {} }] }]")
    with pytest.raises(UnweaveError, match=r"errata.yaml: ica.0.compared.0"):
        errata.read(path)


def test_every_paper_has_errata():
    assert set(errata.read()) == {"ica", "bae", "snmf", "sasa"}
