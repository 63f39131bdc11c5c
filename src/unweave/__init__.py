"""Unweave: four ways to take language-model activations apart, replicated and compared on one ground."""

__version__ = "0.1.0"
