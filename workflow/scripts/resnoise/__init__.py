"""Noise stability of plain and residual networks: the library behind the rules.

Nothing in this package depends on Snakemake. The scripts beside it are thin command lines for it.
"""
