"""Trees of features with the words that each stands for (SNMF, Figure 4)."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import comparison, style
from unweave.plots.layout import sheet
from unweave.plots.panel import Panel, Selection
from unweave.plots.selection import Titles, drawn, title
from unweave.results.references import References

LINE = 0.19
LONGEST = 30
"""Letters of a node."""
CONTROL = "any child"
PANELS = [
    [
        Panel("child_cosine", "Neurons", "cosine to the parent", control=CONTROL, limit=0),
        Panel("shared_words", "Words", "share that the parent has", control=CONTROL),
    ]
]

Path = tuple[int, ...]


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """Draw the tree of most different words, and how near children stand to parents in all of them."""
    nodes = scores[scores["metric"] == "node"]
    trees = dict(list(nodes.groupby(nodes["label"].str.split(r"[/ ]").str[0], sort=False)))
    chosen = max(trees, key=lambda root: trees[root]["label"].str.split(" ", n=1).str[1].nunique())
    words, weights = _parsed(trees[chosen])
    selection = Selection.of(scores, titles)
    marker = style.FAMILIES["snmf"].marker
    handles = [
        Line2D([], [], color=style.MUTED, marker=marker, label="children, with 95 % interval"),
        Line2D([], [], color=style.MUTED, marker=marker, markerfacecolor="white", label=f"control: {CONTROL}"),
        Line2D([], [], color=style.MUTED, linewidth=1.8, label="width of an edge: weight in the parent"),
        Line2D([], [], **comparison.LIMIT, label="chance"),
    ]
    remark = references.remark(selection.model, title(titles, "models", selection.model))
    heights = [0.45 + LINE * _leaves(words), comparison.points_height(selection, PANELS[0])]
    top, bottom = sheet(heights, handles, remark)
    (ax,) = top.axes(1, left=0.1, bottom=0.05)
    _tree(ax, words, weights)
    parts = comparison.points(bottom, PANELS[0], selection, iter("BC"))
    arms = selection.scores.loc[trees[chosen].index, "arm"]
    tree = trees[chosen].assign(title=[selection.titles[arm] for arm in arms])
    return top.figure, drawn({"A": tree, **parts}, titles)


def _parsed(nodes: pd.DataFrame) -> tuple[dict[Path, str], dict[Path, float]]:
    """Words and weight of every node by its path, parents before children."""
    words: dict[Path, str] = {}
    weights: dict[Path, float] = {}
    for label, value in zip(nodes["label"], nodes["value"], strict=True):
        numbers, _, text = str(label).partition(" ")
        path = tuple(int(number) for number in numbers.split("/"))
        words[path] = _shortened(text.split(", "))
        weights[path] = float(value)
    return words, weights


def _shortened(words: Sequence[str]) -> str:
    """As many whole words as fit between two levels of the tree."""
    fitting = [n for n in range(1, len(words) + 1) if len(", ".join(words[:n])) <= LONGEST]
    kept = max(fitting, default=1)
    return ", ".join(words[:kept]) + (" ..." if len(words) > kept else "")


def _leaves(words: Mapping[Path, str]) -> int:
    return sum(not _children(words, path) for path in words)


def _children(words: Mapping[Path, str], path: Path) -> Sequence[Path]:
    return [other for other in words if other[:-1] == path]


def _tree(ax: Axes, words: Mapping[Path, str], weights: Mapping[Path, float]) -> None:
    depth = max(map(len, words))
    leaves = _leaves(words)
    places: dict[Path, float] = {}

    def place(path: Path) -> float:
        below = [place(child) for child in _children(words, path)]
        places[path] = sum(below) / len(below) if below else -float(sum(not _children(words, p) for p in places))
        return places[path]

    place(next(iter(words)))
    for path, y in places.items():
        x = (len(path) - 1) / depth
        for child in _children(words, path):
            ends = ([x + 0.9 / depth, x + 0.98 / depth], [y, places[child]])
            ax.plot(*ends, color=style.MUTED, linewidth=0.4 + 1.4 * weights[child])
        ax.text(x, y, words[path], va="center", ha="left", fontsize=style.TEXT)
    ax.set(xlim=(0, 1), ylim=(-leaves + 0.3, 0.7), xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title("A  One tree, broad features left, fine ones right: the first words of each")
