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
# # Neurons that calendar features share
#
# **The paper** shows, pair by pair, how many neurons the features of days share.
#
# **Here** for each weekday and month the feature that promotes it most, and the Jaccard overlap of the neurons of
# each pair; beside it in the table, the overlap with features of no term.
#
# **What differs**: a term has a feature only as far as the model has one.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import overlap
from unweave.plots.figure import save
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("snmf")
figure, data = overlap.draw(table, titles, references)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig5_neuron_overlap") + "\n" + overlap.findings(table, titles))
