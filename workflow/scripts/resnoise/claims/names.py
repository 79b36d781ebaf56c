"""Names of verdicts and scales, as the files have them."""

REPRODUCED = "reproduced"
DIRECTION = "direction only"
FAILED = "not reproduced"
NOT_MEASURED = "not measured at this scale"
VERDICTS = (REPRODUCED, DIRECTION, FAILED, NOT_MEASURED)

# All that a quantity depends on is as in the paper; something differs; nothing could differ.
PAPER_SCALE = "paper"
REDUCED_SCALE = "reduced"
INDEPENDENT = "any"
