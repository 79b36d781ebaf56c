"""Figures. Each module draws one and returns the numbers to save beside it. None imports torch."""
