"""Settings of every test: generated cases must not fail because the machine is busy."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "cuvee",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # the same cases in every run of CI; new ones at a developer's desk
)
settings.load_profile("cuvee")
