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
# # Training curves
#
# **The paper** shows the loss and its terms over training (appendix).
#
# **Here** the loss, the squared error, the summed entropy of a batch and its covariance penalty, by step; the fixed arm
# beside the released code.
#
# **What differs**: a few hundred steps. Penalties start after a quarter of them, where the loss jumps.
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
        Panel("loss", "Loss", "per coordinate", "step", log_y=True),
        Panel("reconstruction", "Squared error", "per coordinate", "step", log_y=True),
    ],
    [
        Panel("entropy", "Entropy of a batch", "bits", "step"),
        Panel("covariance", "Covariance of a batch", "sum of absolute entries", "step"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels, ("bae", "bae-released"))
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "training_curves") + "\n" + comparison.findings(data, panels))
