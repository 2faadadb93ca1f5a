"""Small files and the shared traces."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED_TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "traces"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a small file and return its path; a name ending in .gz is compressed."""

    def write_file(content: str | bytes, name: str = "trace.csv") -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.fixture(scope="session")
def shared_trace() -> Callable[[str], Path]:
    """Path of a shared trace; skips the test where the shared data are absent."""

    def find(name: str) -> Path:
        path = SHARED_TRACES / name
        if not path.is_file():
            pytest.skip(f"{name} is not in ../shared/data/traces")
        return path

    return find
