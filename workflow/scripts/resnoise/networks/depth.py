"""Depth of a network and its number of blocks: L = 6n + 2 (appendix A)."""

from resnoise.errors import ResnoiseError


def blocks_per_size(depth: int) -> int:
    """Return n of ``depth`` = 6n + 2.

    Raises:
        ResnoiseError: ``depth`` is not of that form with n >= 1.
    """
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        raise ResnoiseError(f"depth {depth} given, allowed: 6n + 2 with n >= 1 (8, 14, 20, ...)")
    return n
