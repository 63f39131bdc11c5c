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
# # Whether binary and sparse autoencoders find the same directions
#
# **The paper** compares features of binary and of sparse autoencoders as a whole.
#
# **Here** the nearest |cosine| of each atom with those of a sparse autoencoder fitted to the same activations,
# beside random directions (hollow).
#
# **What differs**: one layer.
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

table, references = read(scores), read_references("bae")
panels = [
    [
        Panel("nearest_cosine", "Mean", "nearest |cosine|", control="random directions"),
        Panel("beyond_null", "Beyond the null", "share of atoms", limit=0.05, limit_title="expected of the null"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "appd_overlap") + "\n" + comparison.findings(data, panels))
