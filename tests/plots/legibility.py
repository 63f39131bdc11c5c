"""What a figure writes, and where two texts meet or one leaves the page."""

from collections.abc import Iterator
from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def drawn_texts(figure: Figure) -> Iterator[Text]:
    """Texts with content, without the tick labels beyond the limits of their axis, which are never drawn."""
    beyond = set()
    for ax in figure.axes:
        for axis, place in ((ax.xaxis, 0), (ax.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            beyond |= {label for label in axis.get_ticklabels() if not low <= label.get_position()[place] <= high}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in beyond:
            yield text


def boxes(figure: Figure) -> list[tuple[Text, Bbox]]:
    """Every text that is drawn, with the pixels that it covers."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [(text, text.get_window_extent(renderer)) for text in drawn_texts(figure)]


def cut_off(figure: Figure) -> list[str]:
    """Texts that leave the page by more than a pixel."""
    width, height = figure.bbox.width, figure.bbox.height
    return [
        text.get_text()
        for text, box in boxes(figure)
        if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]


def meeting(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of upright texts that cover common pixels."""
    upright = [(text.get_text(), box) for text, box in boxes(figure) if text.get_rotation() in (0, 90)]
    pairs = []
    for (one, first), (other, second) in combinations(upright, 2):
        shared = Bbox.intersection(first, second)
        if shared is not None and min(shared.width, shared.height) >= 1:
            pairs.append((one, other))
    return pairs
