"""Writing a figure together with the numbers behind it."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from unweave.plots.sentences import grid, literal
from unweave.plots.style import house


@house()
def save(figure: Figure, data: pd.DataFrame, stem: Path | str, printed: pd.DataFrame | None = None) -> None:
    """Write `<stem>.png`, `<stem>.svg` and `<stem>.csv`; the same figure and data give the same bytes.

    For a table, `printed` holds its cells as text; it is written as Markdown (`.md`) and LaTeX (`.tex`).
    """
    figure.savefig(f"{stem}.png", metadata={"Software": None})
    figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": None})
    data.to_csv(f"{stem}.csv", index=False, float_format="%.10g", lineterminator="\n")
    if printed is not None:
        cells = printed.astype("string").fillna("")
        Path(f"{stem}.md").write_text(
            grid(list(cells.columns), map(literal, cells.to_numpy().tolist())), encoding="utf-8"
        )
        Path(f"{stem}.tex").write_text(cells.to_latex(index=False, escape=True, na_rep=""), encoding="utf-8")
