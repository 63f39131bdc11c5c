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
# # Automatic interpretation of groups
#
# **The paper** lets a language model explain groups by their norm (AutoInterp of SAEBench) and compares them with
# latents of ReLU and JumpReLU autoencoders.
#
# **Here** a group is explained by ten predicates over tokens, chosen on half of the documents, that simulate its norm;
# the score is Pearson's r on the other half: its mean over units, its median and its 90th percentile. Hollow:
# explanations of other units.
#
# **What differs**: no judge; a group counts once, by its norm, which says nothing of the codes within it. Directions
# drawn at random and a model without training stand beside the arms, since both can score without having learned.
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
shuffled = {"control": "shuffled features", "control_title": "explanations of others"}
by_quantile = {"x_name": "quantile", **shuffled}
panels = [
    [
        Panel("simulation", "Mean", "Pearson's r", "predicates", at=10, **shuffled),
        Panel("simulation_quantile", "Median", "Pearson's r", at=0.5, **by_quantile),
        Panel("simulation_quantile", "90 %", "Pearson's r", at=0.9, **by_quantile),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "autointerp") + "\n" + comparison.findings(data, panels))
