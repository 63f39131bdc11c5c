"""Writing a figure together with the numbers behind it."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from unweave.plots.style import house


@house()
def save(figure: Figure, data: pd.DataFrame, stem: Path | str) -> None:
    """Write `<stem>.png`, `<stem>.svg` and `<stem>.csv`; the same figure and data give the same bytes."""
    figure.savefig(f"{stem}.png", metadata={"Software": None})
    figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": None})
    data.to_csv(f"{stem}.csv", index=False, float_format="%.10g", lineterminator="\n")
