"""Where things stand on a figure: fixed lengths in inches, so that the same scores give the same bytes.

A layout solver is not used: its results differ in the last digits from one call to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from unweave.plots.style import HEADING, MUTED

WIDTH = 7.2
"""Width of every figure: two columns of a paper."""
MARGIN, GAP = 0.08, 0.12
"""Kept free around the whole figure, and below its legend."""
LEGEND_LINE, FOOT = 0.175, 0.2
"""Heights of a line of a legend and of the foot line."""
LEGEND_KEY, LETTER = 0.55, 0.061
"""Widths of a legend entry without its text, and of an average letter of it."""


@dataclass(frozen=True)
class Frame:
    """A part of a figure over its whole width; lengths in inches, `bottom` from the figure's lower edge."""

    figure: Figure
    bottom: float
    height: float

    def heading(self, text: str) -> None:
        """Write a heading at the upper edge."""
        self._text(text, self.height, va="top", fontsize=HEADING)

    def foot(self, text: str) -> None:
        """Write small print at the lower edge."""
        self._text(text, 0.02, va="bottom", color=MUTED, style="italic")

    def legend(self, handles: Sequence[Artist], columns: int) -> None:
        """Write a legend at the lower edge."""
        place = (MARGIN / WIDTH, self.bottom / self.figure.get_figheight())
        self.figure.add_artist(
            Legend(
                self.figure,
                handles,
                [str(handle.get_label()) for handle in handles],
                loc="lower left",
                bbox_to_anchor=place,
                bbox_transform=self.figure.transFigure,
                ncols=columns,
                borderpad=0,
                borderaxespad=0,
                handlelength=3,
                columnspacing=1.5,
            )
        )

    def axes(
        self,
        columns: int,
        rows: int = 1,
        *,
        left: float = 0.55,
        right: float = 0.0,
        top: float = 0.3,
        bottom: float = 0.48,
        gap: tuple[float, float] = (0.15, 0.9),
        ratios: Sequence[float] | None = None,
        sharey: bool = False,
    ) -> list[Axes]:
        """Fill the frame with axes; `left`, `right`, `top`, `bottom` are kept free around them, `gap` between them."""
        width, height = WIDTH - left - right - MARGIN, self.height - top - bottom
        whole = self.figure.get_figheight()
        grid = self.figure.add_gridspec(
            rows,
            columns,
            left=left / WIDTH,
            right=1 - (MARGIN + right) / WIDTH,
            bottom=(self.bottom + bottom) / whole,
            top=(self.bottom + bottom + height) / whole,
            wspace=gap[0] * columns / (width - gap[0] * (columns - 1)),
            hspace=gap[1] * rows / (height - gap[1] * (rows - 1)),
            width_ratios=ratios,
        )
        return list(grid.subplots(sharey=sharey, squeeze=False).ravel())

    def _text(self, text: str, height: float, **looks: Any) -> None:
        self.figure.text(MARGIN / WIDTH, (self.bottom + height) / self.figure.get_figheight(), text, ha="left", **looks)


def sheet(heights: Sequence[float], handles: Sequence[Artist], remark: str) -> list[Frame]:
    """Figure with a legend on top, frames of the given heights in inches below it, and `remark` at its foot."""
    columns = legend_columns([str(handle.get_label()) for handle in handles])
    remark = "\n".join(fill(line, int((WIDTH - 2 * MARGIN) / LETTER)) for line in remark.splitlines())
    inches = [LEGEND_LINE * ceil(len(handles) / columns), GAP, *heights, FOOT * len(remark.splitlines()), MARGIN]
    figure = Figure(figsize=(WIDTH, MARGIN + sum(inches)))
    bottoms = [sum(inches[i + 1 :]) for i in range(len(inches))]
    legend, _, *frames, foot, _ = (
        Frame(figure, bottom, height) for bottom, height in zip(bottoms, inches, strict=True)
    )
    legend.legend(handles, columns)
    foot.foot(remark)
    return frames


def legend_columns(labels: Sequence[str]) -> int:
    """Most legend columns, at most four, that fit the width when filled column by column."""
    for columns in (4, 3, 2):
        widest = [max(map(len, part), default=0) for part in np.array_split(labels, columns)]
        if sum(LEGEND_KEY + LETTER * letters for letters in widest) <= WIDTH:
            return columns
    return 1
