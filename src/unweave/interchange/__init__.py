"""Dictionaries in the forms of other libraries."""
