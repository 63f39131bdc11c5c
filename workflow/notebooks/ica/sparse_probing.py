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
# # Sparse probing
#
# **The paper** (v2; GPT-2 Small, Gemma 2 2B, Qwen 3.5 9B, two layers each) reads the class of a text from only k
# features by the SAEBench procedure, on eight data sets.
#
# **Here** the same procedure (one class against the rest, balanced; features ranked by difference of class means;
# logistic regression) on fewer and smaller data sets. Two controls go with every arm: k random coordinates of the
# same dictionary show what choosing gains, shuffled training labels show what chance gives. Bands: 95 % intervals
# over test texts.
#
# **What differs**: in the embedded run the model is far smaller, instruction-tuned and rounded to 4 bits, training
# sets are smaller, and the SAE is a small one of ours. Accuracies of different models and data sets do not compare;
# the order of the arms does. Published values (C) are likely of unit rows, and their GPT-2 SAE was encoded in a way
# that its authors corrected later.
#
# Codes reach the probe as they are, so that the fixed penalty of the probe weighs on arms with small codes, such as PCA
# and random directions of unit rows.

# %%
from IPython.display import Image, Markdown

from unweave.plots import sparse_probing
from unweave.plots.figure import save
from unweave.plots.sentences import setup
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
figure, data = sparse_probing.draw(table, titles, references)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(setup(table, titles, references) + "\n" + sparse_probing.findings(data, references))
