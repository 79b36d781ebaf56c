"""Settings of all tests."""

import os

from hypothesis import settings

# Several test processes run side by side, and more threads cost time on small tensors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No time limits, which fail on busy machines, and the same examples in every run.
settings.register_profile("resnoise", deadline=None, derandomize=True)
settings.load_profile("resnoise")
