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
# # Concept trees
#
# **The paper** factorises features again into fewer and broader ones and shows how single days merge into weekdays
# and these into days of the week.
#
# **Here** the tree of most different words of one recursive fit. Below, over all trees: how near a child's neurons
# are to its parent's, and how many of its words the parent has, beside any other feature of the child's level
# (hollow). If the two do not differ, the words of a tree say nothing about its branches.
#
# **What differs**: news text instead of concept sentences; three levels.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import concept_tree
from unweave.plots.comparison import findings
from unweave.plots.figure import save
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("snmf")
figure, data = concept_tree.draw(table, titles, references)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
shown = data.assign(panel=data["panel"].map({"B": "A", "C": "B"}))
Markdown(claim(references, "fig4_concept_tree") + "\n" + findings(shown, concept_tree.PANELS))
