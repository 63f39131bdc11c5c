# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
scores = []  # score tables to read
stem = ""  # where the figure goes, without a suffix
titles = {}  # registry keys to the names that the figure prints

# %% [markdown]
# # Whether one concept becomes one feature
#
# **The paper** plants a circle, a sphere and a helix and counts the atoms or groups that are dominant for its
# points.
#
# **Here** the same with a fourth, higher sphere: units that own half a percent of the points or more, the same in
# columns, and the error. Hollow: as many random units.
#
# **What differs**: the paper's rule of counting is not known; ours is stated.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import Panel
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("sasa")
panels = [
    [
        Panel("units", shape, "units", dataset=shape, control="random directions", log_x=True)
        for shape in ("circle", "sphere", "helix")
    ],
    [
        Panel("columns", shape, "columns", dataset=shape, control="random directions", log_x=True)
        for shape in ("circle", "sphere", "helix")
    ],
    [Panel("error", shape, "error / power", dataset=shape, log_x=True) for shape in ("circle", "sphere", "helix")],
]
figure, data = comparison.draw(table, titles, references, panels, planted=True)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig1_consolidation") + "\n" + comparison.findings(data, panels))
