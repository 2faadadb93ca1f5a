"""What every test shares: settings under which a busy machine fails no generated case, and the shared traces."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "cuvee",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # the same cases in every run of CI; new ones at a developer's desk
)
settings.load_profile("cuvee")

SHARED_TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"


@pytest.fixture(scope="session")
def shared_trace() -> Callable[[str], Path]:
    """Path of a shared trace; skips the test where the shared data are absent."""

    def find(name: str) -> Path:
        path = SHARED_TRACES / name
        if not path.is_file():
            pytest.skip(f"{name} is not in ../shared/data/traces")
        return path

    return find
