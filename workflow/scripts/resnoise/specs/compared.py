"""The networks that the study compares, by architecture and initialisation. Standard library only.

Both the grid of runs and the summaries of their results refer to these names.
"""

# Table 1: plain networks from KWI, and residual networks from HMWI.
TABLE1 = (("plain", "kwi"), ("residual", "hmwi"))
# Parameter of an initialisation that the test of the paper's conjecture varies: the size of the ID
# entries.
DOSE = "alpha"
