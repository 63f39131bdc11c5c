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
# # How many features are interpretable
#
# **The paper** counts the features that a judge can name, by model, layer and method, and means their scores.
#
# **Here** how many features are among the ten strongest of a token often enough to be tested, how many of them a
# predicate of our bank names beyond chance, and the mean score of the tested. Hollow: the same lists, each moved to
# chance tokens of its documents.
#
# **What differs**: the layout of the table is a guess, since its content is not known; a bank of predicates stands in
# for the judge. A signed code is two features, a group is one, so that dictionaries have unlike numbers to begin with.
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
by_chance = {"control": "shifted features", "control_title": "shifted features"}
panels = [
    [
        Panel("activated", "Tested", "features", log_x=True, **by_chance),
        Panel("interpretable_features", "Interpretable", "features", **by_chance),
        Panel("comsem", "Mean", "ComSem score", **by_chance),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table1_features") + "\n" + comparison.findings(data, panels))
