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
# # Variance along directions
#
# **The paper** shows the variance along its directions beside their excess kurtosis, by layer (v2, appendix).
#
# **Here** the variance along unit-length directions, relative to the mean of the coordinates: the line at 1 is what
# directions of any orthonormal basis have on average, so the mean (left) tells ICA and autoencoders from a basis, and
# the quantiles over directions at one layer (right) tell bases from each other.
#
# **What differs**: model and layers; the scale is ours, since activations grow with depth.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import LAYER, Panel
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
measure = {"dataset": "news-heldout", "limit": 1, "limit_title": "mean of a basis", "log_y": True}
axis = "variance / mean of coordinates"
panels = [
    [
        Panel("relative_variance", "Mean of directions", axis, LAYER, "layer", **measure),
        Panel("relative_variance", "Quantiles of directions", axis, "quantile", **measure),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "variance_by_layer") + "\n" + comparison.findings(data, panels))
