"""Obtain and prepare text."""
