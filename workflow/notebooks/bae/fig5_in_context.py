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
# # Bits before the answer of a few-shot prompt
#
# **The paper** finds that the entropy of the last token of a prompt falls with the demonstrations before it, and
# reads this as information that is removed.
#
# **Here** film reviews in the words of the StaICC benchmark. Three arms: demonstrations drawn for each prompt
# (with marks), the same ones for all prompts, as the authors' loader has it (without, upper row), and drawn ones
# with labels of chance (without, lower row). With the same demonstrations the context no longer varies, which
# lowers the entropy of a prompt whatever is learned. Where the error is near 1 the codes have collapsed and their
# bits say nothing; the dimensions that the rows spread over need no fit.
#
# **What differs**: one data set, 512 prompts, at most four demonstrations.
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
panels = [
    [
        Panel(metric, title, axis, "demonstrations", control="fixed", control_title="fixed demonstrations")
        for metric, title, axis in (
            ("entropy_sum", "Summed", "bits"),
            ("fvu", "Error", "share unexplained"),
            ("dimensions", "Spread", "effective dimensions"),
            ("accuracy", "Right answers", "share of prompts"),
        )
    ],
    [
        Panel(metric, title, axis, "demonstrations", control="random labels")
        for metric, title, axis in (
            ("entropy_sum", "Summed", "bits"),
            ("fvu", "Error", "share unexplained"),
            ("dimensions", "Spread", "effective dimensions"),
            ("accuracy", "Right answers", "share of prompts"),
        )
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig5_in_context") + "\n" + comparison.findings(data, panels))
