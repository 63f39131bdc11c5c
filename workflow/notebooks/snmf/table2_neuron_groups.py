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
# # Core and exclusive neurons
#
# **The paper** amplifies the neurons that features of all days share, and those of one day alone, and reads the
# logits of the days.
#
# **Here** the same for weekdays and months: what core neurons do to the logits of all terms against other words, and
# what exclusive ones do to their own term against its siblings. Hollow: as many random neurons.
#
# **What differs**: the model is small and its features of single days are weak.
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

table, references = read(scores), read_references("snmf")
CHANGE, NONE, CONTROL = "change of logit", "no change", "random neurons"
panels = [
    [
        Panel("core_effect", f"Core, {family}s", CHANGE, dataset=family, limit=0, limit_title=NONE, control=CONTROL)
        for family in ("weekday", "month")
    ],
    [
        Panel(
            "exclusive_effect",
            f"Exclusive, {family}s",
            CHANGE,
            dataset=family,
            limit=0,
            limit_title=NONE,
            control=CONTROL,
        )
        for family in ("weekday", "month")
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table2_neuron_groups") + "\n" + comparison.findings(data, panels))
