"""Reading from a program that may have stopped: then a test fails instead of waiting for ever."""

import os
import select


def read(handle: int, seconds: float = 60) -> bytes:
    """Return what a program writes next, or nothing at its end; fail if it writes nothing."""
    ready, _, _ = select.select([handle], [], [], seconds)
    assert ready, f"nothing was written in {seconds} s"
    return os.read(handle, 4096)
