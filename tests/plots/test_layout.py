import pytest
from matplotlib.lines import Line2D

from unweave.plots.layout import FOOT, MARGIN, WIDTH, legend_columns, sheet


def test_a_legend_takes_fewer_columns_where_its_texts_are_long():
    assert legend_columns(["PCA", "ICA"]) == 4
    assert legend_columns(["x" * 60] * 3) == 1
    assert legend_columns(["x" * 200]) == 1


def test_frames_are_stacked_from_top_to_bottom_in_the_heights_asked_for():
    frames = sheet([1.0, 2.0], [Line2D([], [], label="a")], "remark")
    assert [frame.height for frame in frames] == [1.0, 2.0]
    assert frames[1].bottom == pytest.approx(FOOT + MARGIN)
    assert frames[0].bottom == pytest.approx(frames[1].bottom + 2.0)


def test_axes_fill_their_frame_with_the_gaps_asked_for():
    (frame,) = sheet([3.0], [Line2D([], [], label="a")], "remark")
    first, second, third, _ = frame.axes(2, 2, left=1.0, top=0.5, bottom=0.5, gap=(0.4, 0.6))
    whole = frame.figure.get_figheight()
    boxes = [ax.get_position() for ax in (first, second, third)]
    assert boxes[0].x0 * WIDTH == pytest.approx(1.0)
    assert boxes[1].x1 * WIDTH == pytest.approx(WIDTH - MARGIN)
    assert (boxes[1].x0 - boxes[0].x1) * WIDTH == pytest.approx(0.4)
    assert (boxes[0].y0 - boxes[2].y1) * whole == pytest.approx(0.6)
    assert boxes[0].y1 * whole == pytest.approx(frame.bottom + 2.5)
    assert boxes[2].y0 * whole == pytest.approx(frame.bottom + 0.5)
