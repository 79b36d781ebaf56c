"""Summaries of the results of several runs: the numbers that tables and figures show."""
