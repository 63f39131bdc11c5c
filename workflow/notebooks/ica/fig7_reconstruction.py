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
# # Sparse reconstruction and patching
#
# **The paper** (v2, Figure 7; GPT-2 Small, Gemma 2 2B, Qwen 3.5 9B) keeps the k strongest coefficients of each token
# and plots the cosine between the activation and what they rebuild.
#
# **Here** the same on held-out text (A, B) and, which the paper does not show, what the rebuilt activation does to
# the model's output: loss recovered (C; 1: as the clean model, 0: activation set to zero) and KL divergence from the
# clean output (D). Bands and bars: 95 % intervals over documents; in A they are means of the layers' intervals. Panel
# E repeats published values.
#
# **What differs**: in the embedded run the model is far smaller, instruction-tuned and rounded to 4 bits; news takes
# the place of six domains; the SAE is a small one of ours. In the mean over layers (A) only arms appear that were
# fitted at every layer. A cosine is high as soon as the mean activation is long, so read it against the dotted line:
# the center alone.

# %%
from IPython.display import Image, Markdown

from unweave.plots import reconstruction
from unweave.plots.figure import save
from unweave.plots.sentences import setup
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
figure, data = reconstruction.draw(table, titles, references)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(setup(table, titles, references) + "\n" + reconstruction.findings(data, references))
