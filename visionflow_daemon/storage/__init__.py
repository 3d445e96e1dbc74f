"""Keeps facts by file, and the tables derived from them."""
