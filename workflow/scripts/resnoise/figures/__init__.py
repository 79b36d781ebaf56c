"""Figures: each module draws one from the data that is saved beside it. None imports torch."""
