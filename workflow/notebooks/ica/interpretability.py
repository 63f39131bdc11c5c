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
# # Interpretability without a paid judge
#
# **The paper** lets a language model explain features and scores how well another one simulates them from the
# explanation.
#
# **Here** an explanation is a few predicates over tokens (word, affix, class, cluster of meanings), chosen on half
# of the documents; the simulation is what they predict, and the score Pearson's r on the other half. Hollow:
# explanations of other features. Right: features of which a predicate holds beyond its rate, at a false discovery
# rate of 5 %.
#
# **What differs**: no judge; predicates see tokens and their neighbours, not arguments.
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
        Panel("simulation", "Simulated", "Pearson's r", "predicates", at=10, control="shuffled features"),
        Panel("comsem", "ComSem", "ComSem score"),
        Panel("interpretable", "Explained", "share of features"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "interpretability") + "\n" + comparison.findings(data, panels))
