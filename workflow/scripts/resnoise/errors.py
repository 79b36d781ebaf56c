"""The one exception type that is shown to users without a traceback."""


class ResnoiseError(Exception):
    """Bad input: the message names the file or key, its value and what is allowed."""
