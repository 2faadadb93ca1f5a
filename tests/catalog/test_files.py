"""Reading and writing text files never fails with anything but InputError."""

import contextlib
import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.files import open_text, read_text, write_atomic

PACKED = gzip.compress(bytes(range(1, 128)) * 400, mtime=0)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\r\nb", "a\r\nb"),
        (b"\xef\xbb\xbfa", "a"),
        (gzip.compress(b"zipped", mtime=0), "zipped"),
        (b"", ""),
        ("é".encode(), "é"),
    ],
)
def test_reads_plain_and_gzip_whatever_the_name(tmp_path, content, text):
    """Text comes back unchanged but for a byte-order mark; gzip is told by content."""
    assert read_text(write(tmp_path, content)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\0c", ":2: a NUL byte"),
        (b"a\nb\n\xff", ":3: byte 0xff"),
        (b"a" * 20_000 + b"\nb\n\xff", ":3: byte 0xff"),
        (b"cut \xe2\x82", ":1: byte 0xe2"),
        (PACKED[:-20], "broken after line"),
        (PACKED[:60] + b"junk" + PACKED[64:], "broken after line"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_its_line(tmp_path, content, message):
    """Binary, undecodable and truncated files say where they break."""
    with pytest.raises(InputError, match=message):
        read_text(write(tmp_path, content))


@pytest.mark.parametrize("path", ["absent", ".", "a\0b", "x" * 5000, ""])
def test_a_path_that_cannot_be_opened_is_an_input_error(tmp_path, monkeypatch, path):
    """Missing files, directories and impossible names are translated."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        read_text(path)


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    """A small gzip that unpacks to much is stopped at the limit."""
    with pytest.raises(InputError, match=r"more than 0\.1 MB"):
        read_text(write(tmp_path, gzip.compress(b"a" * 1_000_000)), max_mb=0.1)


def test_csv_errors_are_translated(tmp_path):
    """A field beyond the csv module's limit becomes an InputError that names the file."""
    path = write(tmp_path, b'"' + b"a" * 200_000)
    with pytest.raises(InputError, match="field larger"), open_text(path) as stream:
        list(csv.reader(stream))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200), packed=st.booleans())
def test_arbitrary_bytes_read_or_raise_an_input_error(tmp_path, content, packed):
    """No content makes the reader fail otherwise."""
    path = write(tmp_path, (b"\x1f\x8b" if packed else b"") + content)
    with contextlib.suppress(InputError):
        read_text(path)


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path):
    """The folder is made, the old content replaced, the temporary file gone."""
    path = tmp_path / "new" / "plan.json"
    write_atomic(path, "old")
    write_atomic(path, "néw")
    assert path.read_text(encoding="utf-8") == "néw"
    assert [entry.name for entry in path.parent.iterdir()] == ["plan.json"]


def test_writing_through_a_link_keeps_the_link(tmp_path):
    """The target of a symbolic link is replaced, not the link."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize(("path", "text"), [(".", "x"), ("file/inside", "x"), ("a\0b", "x"), ("fine", "\ud800")])
def test_writing_where_it_cannot_is_an_input_error(tmp_path, monkeypatch, path, text):
    """A directory, a file in the way, an impossible name and a lone surrogate are translated."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    with pytest.raises(InputError):
        write_atomic(path, text)
    assert Path("file").read_text() == "in the way"
