"""Settings of all tests."""

from hypothesis import settings

# No time limits, which fail on busy machines, and the same examples in every run.
settings.register_profile("resnoise", deadline=None, derandomize=True)
settings.load_profile("resnoise")
