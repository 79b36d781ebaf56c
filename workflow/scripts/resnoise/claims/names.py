"""Names of verdicts, scales and kinds of claims, as the files have them."""

REPRODUCED = "reproduced"
DIRECTION = "direction only"
FAILED = "not reproduced"
NOT_COMPARABLE = "not comparable at this scale"
NOT_MEASURED = "not measured at this scale"
VERDICTS = (REPRODUCED, DIRECTION, FAILED, NOT_COMPARABLE, NOT_MEASURED)

# All that a quantity depends on is as in the paper; something differs; nothing could differ.
PAPER_SCALE = "paper"
REDUCED_SCALE = "reduced"
INDEPENDENT = "any"

# A claim is a statement if it has a direction (greater or less than something), with or without a
# printed number beside it. It is a number if the printed number is all that it says.
STATEMENT = "statement"
NUMBER = "number"


def is_qualified(verdict: str, scale: str) -> bool:
    """Return whether a verdict must be shown with the words "at reduced scale".

    Two verdicts speak of the scale themselves.
    """
    return scale == REDUCED_SCALE and verdict not in (NOT_COMPARABLE, NOT_MEASURED)


def label(verdict: str, scale: str) -> str:
    """Return a verdict with its scale, because nothing is just reproduced at a reduced scale."""
    return f"{verdict}, at reduced scale" if is_qualified(verdict, scale) else verdict
