"""What the model writes when single features are added, beside what it writes when random directions are."""

from textwrap import shorten

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.panel import Selection
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import bullets, grid, literal, span
from unweave.results.references import References

LINE = 0.168
SHOWN = {"feature": 2, "random direction": 1}
"""Directions of each arm that the picture shows; the table has all."""
COLUMNS = (0.0, 0.185, 0.44, 1.0)
"""Where direction, words, text and loss stand."""
HEADS = ("direction", "words that are raised", "text", "loss (nats/token)")
LETTERS = (22, 28, 60)


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """List some texts of each arm at the largest divergence, and return the tidy table of all."""
    selection = Selection.of(scores, titles)
    texts = _texts(selection)
    lines = {arm: _shown(texts[texts["arm"] == arm]) for arm in selection.arms}
    remark = references.remark(selection.model, title(titles, "models", selection.model))
    largest = f"layer {selection.layer}; strongest texts, at a KL of {texts['x'].abs().max():g} nats"
    frames = sheet([0.35 + LINE * (len(rows) + 1) for rows in lines.values()], [], f"{remark}\n{largest}")
    for frame, (arm, rows) in zip(frames, lines.items(), strict=True):
        (ax,) = frame.axes(1, left=0.1, top=0.28, bottom=0.02)
        _list(ax, rows, selection.titles[arm])
    return frames[0].figure, drawn({"texts": texts, "words": _said(selection, "strength")}, titles)


def _said(selection: Selection, metric: str) -> pd.DataFrame:
    """Rows of a metric by arm, whose label is split into the direction's name and what is said of it."""
    at_layer = selection.scores["layer"] == selection.layer
    found: pd.DataFrame = selection.scores[at_layer & (selection.scores["metric"] == metric)]
    rows = found.sort_values("arm", key=lambda arms: arms.map(selection.arms.index), kind="stable")
    labels = rows["label"].map(_one_line)
    parts = labels.str.split(": ", n=1, expand=True)
    titles = [selection.titles[arm] for arm in rows["arm"]]
    return rows.assign(title=titles, label=labels, name=parts[0], said=parts[1])


def _texts(selection: Selection) -> pd.DataFrame:
    """Rows of texts, with the words that the direction of each raises."""
    words = _said(selection, "strength")[["arm", "name", "x", "said"]].rename(columns={"said": "words"})
    texts: pd.DataFrame = _said(selection, "text_loss").merge(
        words, on=["arm", "name", "x"], how="left", validate="one_to_one"
    )
    return texts.assign(words=texts["words"].fillna(""))


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Text without a feature, then both signs of the first directions of either kind."""
    names = rows["name"]
    chosen = [name for kind, n in SHOWN.items() for name in names[names.str.startswith(kind)].unique()[:n]]
    furthest = rows["x"].abs() == rows["x"].abs().max()
    shown: pd.DataFrame = rows[(rows["x"] == 0) | (names.isin(chosen) & furthest)]
    return shown


def _list(ax: Axes, rows: pd.DataFrame, heading: str) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        cells = _cells(row)
        for x, text, letters in zip(COLUMNS, cells, LETTERS, strict=False):
            ax.text(x, -place, shorten(text, letters, placeholder=" ..."), va="center", parse_math=False)
        ax.text(COLUMNS[-1], -place, cells[-1], va="center", ha="right", color=style.MUTED)
    for x, head in zip(COLUMNS, HEADS, strict=True):
        ax.text(x, 1, head, va="center", ha="right" if x == COLUMNS[-1] else "left", color=style.MUTED)
    ax.set(xlim=(0, 1), ylim=(-len(rows) + 0.4, 1.6), xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(heading)


def _cells(row: pd.Series) -> tuple[str, str, str, str]:
    """Direction with its sign, words, text and loss."""
    sign = "" if row["x"] == 0 else " +" if row["x"] > 0 else " -"
    return f"{row['name']}{sign}", row["words"], row["said"], f"{row['value']:.2f}"


def _one_line(text: str) -> str:
    """Text whose line breaks and control characters are spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def printed(scores: pd.DataFrame, titles: Titles) -> pd.DataFrame:
    """Cells of the table of all texts."""
    texts = _texts(Selection.of(scores, titles))
    rows = [[row["title"], f"{row['x']:+g}" if row["x"] else "0", *_cells(row)] for _, row in texts.iterrows()]
    return pd.DataFrame(rows, columns=["arm", "KL", "direction", "words it raises", "text", "loss"])


def findings(scores: pd.DataFrame, titles: Titles) -> str:
    """Markdown: in which losses the texts lie, and all texts."""
    selection = Selection.of(scores, titles)
    texts = _texts(selection)
    largest = texts["x"].abs().max()
    lines = []
    for arm in selection.arms:
        rows = texts[(texts["arm"] == arm) & (texts["x"].abs() == largest)]
        random = rows["name"].str.startswith("random")
        with_features, by_chance = span(rows.loc[~random, "value"], ".2f"), span(rows.loc[random, "value"], ".2f")
        lines.append(
            f"{selection.titles[arm]}: at a divergence of {largest:g}, losses of {with_features} nats per token with "
            f"features, {by_chance} with random directions"
        )
    cells = printed(scores, titles)
    return bullets(lines) + "\n\n" + grid(list(cells.columns), map(literal, cells.to_numpy().tolist()))
