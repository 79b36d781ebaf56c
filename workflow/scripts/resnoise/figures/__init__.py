"""Figures, each drawn by a module of its own, and what they share. None imports torch."""
