"""Noise stability of plain and residual networks: the library behind the rules.

Nothing in this package knows of Snakemake. The scripts beside it are thin command lines over it.
"""
