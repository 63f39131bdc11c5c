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
# # Codes along a sentence, ICA beside a sparse autoencoder
#
# **The paper** (v1, unnumbered figure; GPT-2 Small, layer 6) draws the strongest ICA component and the strongest latent
# of every token of a sentence as rows, each on its own scale: ICA's are smooth, the autoencoder's are spikes.
#
# **Here** the first of our four sentences (panels A and B; sizes of codes, signs left out). Panel C puts a number to it
# for every arm: how many tokens around its largest code a trace stays at half of that. Hollow: with the tokens of each
# sentence in random order, which keeps how dense a code is and takes away what is smooth.
#
# **What differs**: model, layer, sentences and the autoencoder; the run length is ours.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights, so compare arms with each other
# here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import ridgeline
from unweave.plots.figure import save
from unweave.plots.sentences import setup
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
figure, data = ridgeline.draw(table, titles, references, ["ica-v1", "sae-topk"])
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(setup(table, titles, references) + "\n" + ridgeline.findings(data, references))
