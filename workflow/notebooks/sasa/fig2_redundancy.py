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
# # How many atoms share a few dimensions
#
# **The paper** clusters decoder directions and compares atoms with dimensions of each cluster.
#
# **Here** the same by spectral clusters of about ten atoms; dimensions hold nine tenths of the variance. Hollow:
# random directions, for which a cluster is what chance makes of it.
#
# **What differs**: the width is small, so there is little room for redundancy.
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
        Panel("redundancy", "Redundancy", "atoms per dimension", control="random directions"),
        Panel("redundant_clusters", "Redundant", "share of clusters", control="random directions"),
        Panel("cluster_size", "Size", "atoms", control="random directions"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig2_redundancy") + "\n" + comparison.findings(data, panels))
