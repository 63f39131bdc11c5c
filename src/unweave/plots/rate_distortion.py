"""Error against bits, from fits that were scored one by one."""

import pandas as pd

FIT = ["model", "site", "layer", "method", "fit_seed", "dataset", "x"]


def against_bits(scores: pd.DataFrame, estimate: str = "entropy_sum") -> pd.DataFrame:
    """Rows `fvu` of the score table with the bits of the same fit, by an `estimate` of their entropy, as x."""
    bits = scores.loc[(scores["metric"] == estimate) & (scores["x_name"] == "point"), [*FIT, "value"]]
    error = scores[(scores["metric"] == "fvu") & (scores["x_name"] == "point")]
    joined = error.merge(bits.rename(columns={"value": "bits"}), on=FIT)
    return joined.assign(x=joined["bits"], x_name="bits").drop(columns="bits").sort_values("x", kind="stable")
