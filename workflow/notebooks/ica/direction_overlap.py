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
# # Nearest directions of a sparse autoencoder
#
# **The paper** takes for each ICA direction the largest |cosine| with a decoder direction of a public sparse
# autoencoder.
#
# **Here** the autoencoder is fitted on the same activations with another seed than the arm `SAE (TopK)`, which shows
# what agreement of two such fits looks like. Two nulls: as many isotropic random directions (dotted), and random
# directions that lean like the decoder does.
#
# **What differs**: a wider rival has nearer directions by chance alone, so only the distance to a null counts.
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
panels = [
    [
        Panel("nearest_cosine_quantile", "Quantiles", "nearest |cosine|", "quantile", control="random directions"),
    ],
    [
        Panel("nearest_cosine", "Mean", "nearest |cosine|", control="random, rival's covariance"),
        Panel("beyond_null", "Beyond the null", "share of directions", limit=0.05, limit_title="expected of the null"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "direction_overlap") + "\n" + comparison.findings(data, panels))
