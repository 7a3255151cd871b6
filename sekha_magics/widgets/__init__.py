"""Widgets of a notebook, each with a text and a table that say the same in a saved file."""
