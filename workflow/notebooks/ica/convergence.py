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
# # Movement of the components during the fit
#
# **The paper** ends a fit of version 1 when no component moves by 1e-4 in an iteration, and accepts it when 95 % of the
# components move by no more; a table lists what was accepted. Version 2 always makes fifty iterations, and shows the
# movement to argue that it is no measure of quality.
#
# **Here** the largest movement over components, its 95th percentile, median and mean, by iteration. The line is the
# limit of version 1: the largest must pass it to stop, the 95th percentile to be accepted.
#
# **What differs**: one layer, and curves where the paper has a table of layers.
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

table, references = read(scores), read_references("ica")
limit = {"limit": 1e-4, "limit_title": "limit of version 1"}
AXES = ("change (LIM)", "step", "iteration")
panels = [
    [
        Panel("lim_max", "Largest", *AXES, log_y=True, **limit),
        Panel("lim_p95", "95th percentile", *AXES, log_y=True, **limit),
    ],
    [
        Panel("lim_median", "Median component", *AXES, log_y=True),
        Panel("lim_mean", "Mean", *AXES, log_y=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels, ("ica-v1", "ica-v2", "ica-fast"))
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "convergence") + "\n" + comparison.findings(data, panels))
