"""Settings and fixtures of all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

# No time limits, which fail on busy machines, and the same examples in every run.
settings.register_profile("resnoise", deadline=None, derandomize=True)
settings.load_profile("resnoise")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread: more cost time on small tensors."""
    # Imported here, because not all tests need it.
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
