"""Comparison of two results folders: a baseline, and a variant in which something was changed."""
