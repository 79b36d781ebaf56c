"""Named numbers of an initialisation, and the text that names it with them.

The text is the name, then ``_key=value`` for each parameter that has not its default value, in the
order of the registry, with each number in its shortest form: ``id-entries_alpha=0.5``. It is a part
of the names of folders, so that one initialisation must have one text. It has no commas, at which
Snakemake splits the wildcards of a job. Standard library only, because the rules import it too.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from resnoise.errors import ResnoiseError

# A decimal number in its shortest form: no sign +, no exponent, no zeros that could be left out.
_NUMBER = r"(?:-?0\.\d*[1-9]|-?[1-9]\d*(?:\.\d*[1-9])?|0)"


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of an initialisation.

    Attributes:
        name: its name, of letters and digits.
        lowest: smallest allowed value.
        highest: largest allowed value.
        default: value without which it need not be given; None if it must be given. It is that of
            the argument of the same name of ``draw_kernel``.
    """

    name: str
    lowest: float
    highest: float
    default: float | None = None

    @property
    def allowed(self) -> str:
        """Return what is allowed, in words."""
        return f"a number >= {short(self.lowest)} and <= {short(self.highest)}"

    def allows(self, value: float) -> bool:
        """Return whether a value is in the range; NaN is not."""
        return self.lowest <= value <= self.highest


def short(value: float) -> str:
    """Return a finite number in its shortest form, such as 0.5 or 1, never 1.0 or 5e-1."""
    text = format(Decimal(repr(float(value))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def written(name: str, parameters: Sequence[Parameter], values: Mapping[str, float]) -> str:
    """Return the text of an initialisation; values that are the default are left out."""
    parts = [
        f"_{parameter.name}={short(values[parameter.name])}"
        for parameter in parameters
        if values.get(parameter.name, parameter.default) != parameter.default
    ]
    return "".join([name, *parts])


def pattern(name: str, parameters: Sequence[Parameter]) -> str:
    """Return a regular expression, without groups that capture, for all texts of an initialisation.

    The range of a number is not a part of it.
    """
    parts = [
        f"(?:_{parameter.name}={_NUMBER}){'' if parameter.default is None else '?'}"
        for parameter in parameters
    ]
    return "".join([re.escape(name), *parts])


def read(text: str) -> tuple[str, dict[str, str]]:
    """Return name and parameters, as texts, of ``name_key=value_key=value``.

    Raises:
        ResnoiseError: a part is no ``key=value``, or a key is there twice.
    """
    name, *parts = text.split("_")
    values: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key in values:
            raise ResnoiseError("a name, then _key=value once for each of its parameters")
        values[key] = value
    return name, values


def check(
    name: str, parameters: Sequence[Parameter], given: Mapping[str, object]
) -> dict[str, float]:
    """Return the values of the parameters that are given, as numbers.

    Raises:
        ResnoiseError: a parameter is unknown, missing, no number or out of its range. The message
            says what is allowed.
    """
    known = {parameter.name: parameter for parameter in parameters}
    if unknown := [key for key in given if key not in known]:
        names = f"the parameters {', '.join(known)}" if known else "no parameters"
        raise ResnoiseError(f"{name} with {names}, not {', '.join(map(str, unknown))}")
    values = {}
    for key, parameter in known.items():
        if key not in given:
            if parameter.default is None:
                raise ResnoiseError(f"{name} with {key}, {parameter.allowed}")
            continue
        value = _number(given[key])
        if not parameter.allows(value):
            raise ResnoiseError(f"{name} with {key}, {parameter.allowed}")
        values[key] = value
    return values


def _number(value: object) -> float:
    """Return a number, or a text that is one (from a command line); NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan
