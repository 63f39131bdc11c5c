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
# # Steered texts
#
# **The paper** lists what Llama 3.1 8B writes after "I think that" when features are added at every position, at
# several divergences of the next token.
#
# **Here** the same for features that were drawn, not picked, and for random directions beside them. The picture shows
# the larger divergence, the table all. The loss is that of the text under the model without the direction: where it is
# high, the text is broken or far from what the model would say.
#
# **What differs**: the paper shows examples that were chosen.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import steered_texts
from unweave.plots.figure import save
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("snmf")
figure, data = steered_texts.draw(table, titles, references)
save(figure, data, stem, steered_texts.printed(table, titles))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "steered_texts") + "\n" + steered_texts.findings(table, titles))
