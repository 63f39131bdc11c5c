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
# # How many units a list of words takes
#
# **The paper** counts 35 latents for days, months and years in a ReLU autoencoder, and one group of SASA.
#
# **Here** weekdays, months, numbers, colours and the like: units that fire on them beyond chance and on little else,
# and how well the best units tell the words of a list apart at equal numbers of columns. Hollow: random words of
# equal frequency, random units.
#
# **What differs**: lists are found in news text.
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
        Panel("specific_units", "Specific", "units", control="random words"),
        Panel("specific_columns", "Specific", "columns", control="random words"),
        Panel("best_f1", "Best unit", "F1", control="random words"),
    ],
    [
        Panel("value_accuracy", "Words told apart", "balanced accuracy", "columns", control="random units", log_x=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "concept_splitting") + "\n" + comparison.findings(data, panels))
