"""The exceptions that are shown to users without a traceback."""


class ResnoiseError(Exception):
    """Bad input: the message names the file or key, its value and what is allowed."""


class NativeUnavailable(ResnoiseError):  # noqa: N818 - a state that callers expect, not a mistake
    """The library of C code cannot be used on this machine; the message says why."""
