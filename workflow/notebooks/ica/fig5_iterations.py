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
# # Interpretability over the iterations of the fit
#
# **The paper** asks an interpreter about components after every few iterations, beside the contrast that the fit
# climbs.
#
# **Here** the components after 0 (the random rotation at the start), 2, 5, 15 and 50 iterations: correlation of their
# activations with what ten predicates simulate, and the mean distance of their contrast from a Gaussian's on held-out
# text. Dotted: the explanations of other components.
#
# **What differs**: no language model explains; see the notebook on interpretability.
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
        Panel("simulation", "Simulated by ten predicates", "Pearson's r", "iterations", control="shuffled features"),
        Panel("logcosh_deviation", "Contrast on held-out text", "distance from a Gaussian", "iterations"),
    ]
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig5_iterations") + "\n" + comparison.findings(data, panels))
