"""Reading and writing text files, with every failure of the file system translated to InputError."""

import csv
import gzip
import io
import os
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from cuvee.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""What a text in UTF-16 begins with."""

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What stands between columns in place of commas."""

PLAIN_TEXT = "a UTF-8 text file, plain or gzip-compressed"
BYTES_PER_MB = 1_000_000


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for streaming, plain or gzip (told by its first bytes, not by its name).

    Parameters
        path    The file; a pipe such as /dev/stdin works too.
    Returns     context manager giving a text stream in UTF-8, byte-order mark removed, newlines untouched
                (as `csv` wants them).
    Raises      InputError: missing, a directory, no permission, binary (a NUL byte), not UTF-8, a broken
                gzip stream; or a `csv.Error` that leaves the block.
    """
    with _open_binary(path) as raw:
        checked = _CheckedBytes(raw, path)
        stream = io.TextIOWrapper(cast(BinaryIO, checked), encoding="utf-8-sig", newline="")
        try:
            yield stream
        except UnicodeDecodeError as error:
            raise _not_text(path, checked.line_of(error), f"byte 0x{error.object[error.start]:02x}") from None
        except csv.Error as error:
            raise InputError(
                f"{path}: {error}", expected="comma-separated lines", remedy="check the quotes of the file"
            ) from None


def read_text(path: str | Path, *, max_mb: float = 10.0, remedy: str = "") -> str:
    """Whole text of a file of at most `max_mb` [MB, after decompression]; raises InputError as `open_text` does.

    Parameters
        remedy    What to do about a larger one.
    """
    limit = int(max_mb * BYTES_PER_MB)
    with open_text(path) as stream:
        text = stream.read(limit + 1)
    if len(text) > limit:
        raise InputError(f"{path}: more than {max_mb:g} MB", expected=f"a file of at most {max_mb:g} MB", remedy=remedy)
    return text


def require_commas(header: Sequence[str], place: str) -> None:
    """Raise InputError where the one column of a header is several, with something else than commas between them."""
    between = [name for mark, name in SEPARATORS.items() if len(header) == 1 and mark in header[0]]
    if between:
        raise InputError(
            f"{place}: {between[0]} between the columns",
            expected="commas between columns, and a point in numbers",
            remedy="export the file again as comma-separated values",
        )


def write_atomic(path: str | Path, text: str | bytes | Iterable[str | bytes], *, is_durable: bool = True) -> None:
    """Write `text`, as UTF-8, so that a reader sees the old file or the new one, never a part.

    Parameters
        path          Target; its folder is created where missing. A device or pipe is written directly.
        text          Content, whole or in pieces, each written before the next is asked for.
        is_durable    Whether to wait until the disk has it; else it outlives the process, and not a loss of power.
    Raises      InputError: the folder or file cannot be written.
    """
    try:
        content = _encoded((text,) if isinstance(text, str | bytes) else text)
        target = Path(os.path.realpath(path))
        if _is_device(path):
            with Path(path).open("ab") as stream:
                stream.writelines(content)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content, is_durable=is_durable)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: the text has {error.object[error.start]!r}, which UTF-8 cannot hold",
            expected="text without lone surrogates",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be written ({_reason(error)})",
            expected="a file in a folder that can be written",
            remedy="choose another path or free its folder",
        ) from None


@contextmanager
def held_alone(path: str | Path, remedy: str) -> Iterator[None]:
    """Keep every other process that asks the same from `path` while the body runs; the system lets go of a killed one.

    Parameters
        path      What is written in the body; the lock stands beside it, as PATH.lock, since `path` itself is replaced.
        remedy    What to do where another process holds it.
    Raises        InputError: another process holds it, or the folder cannot be written.
    """
    lock = Path(f"{os.path.realpath(path)}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock)
    except BlockingIOError:
        raise InputError(
            f"{path}: another run is writing it", expected="one run at a time for each file", remedy=remedy
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{lock}: cannot be locked ({_reason(error)})",
            expected="a file in a folder that can be written",
            remedy="choose another path or free its folder",
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _locked(lock: Path) -> int:
    """Open file that holds the lock; raises BlockingIOError where somebody else does."""
    import fcntl  # absent on Windows, where nothing else here is needed

    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed it between our two steps: then ours is a file that nobody sees.
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_device(path: str | Path) -> bool:
    """Whether `path` is a pipe or device, such as /dev/stdout even where that is redirected to a file."""
    if os.path.abspath(path).startswith("/dev/"):  # noqa: PTH100 resolve() would follow the redirection
        return True
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH110, PTH116


def _encoded(pieces: Iterable[str | bytes]) -> Iterator[bytes]:
    return (piece.encode("utf-8") if isinstance(piece, str) else piece for piece in pieces)


def _replace(target: Path, content: Iterable[bytes], *, is_durable: bool) -> None:
    """Write beside `target` and move into place."""
    # Not tempfile: its files are private to the user, and a plan is meant to be shared.
    temporary = target.with_name(f".cuvee-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.writelines(content)
            stream.flush()
            if is_durable:
                os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _open_binary(path: str | Path) -> Iterator[BinaryIO]:
    """Bytes of a file, decompressed where the first two say gzip."""
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 closed by the `with` below
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory", expected=PLAIN_TEXT, remedy="name a file inside it") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", expected=PLAIN_TEXT, remedy="check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened ({_reason(error)})", expected=PLAIN_TEXT) from None
    with raw:
        try:
            compressed = raw.peek(2)[:2] == GZIP_MAGIC
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({_reason(error)})", expected=PLAIN_TEXT) from None
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if compressed else raw


class _CheckedBytes(io.BufferedIOBase):
    """Byte stream that counts lines and refuses NUL bytes and broken gzip."""

    def __init__(self, source: BinaryIO, path: str | Path) -> None:
        self._source = source
        self._path = path
        self._lines = 0
        self._begun = False

    def readable(self) -> bool:
        """Return True: the text layer asks."""
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, one read of the source."""
        try:
            chunk = self._source.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{self._path}: broken after line {self._lines + 1} ({_reason(error)})",
                expected=PLAIN_TEXT,
                remedy="fetch or compress the file again",
            ) from None
        if not self._begun and chunk.startswith(UTF_16):
            raise _not_text(self._path, 1, "text in UTF-16", "not UTF-8")
        self._begun = True
        if (nul := chunk.find(b"\0")) >= 0:
            raise _not_text(self._path, self._lines + chunk.count(b"\n", 0, nul) + 1, "a NUL byte")
        self._lines += chunk.count(b"\n")
        return chunk

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes."""
        return self.read1(-1 if size is None else size)

    def line_of(self, error: UnicodeDecodeError) -> int:
        """Line of the byte that could not be decoded, from 1."""
        return self._lines - error.object.count(b"\n", error.start) + 1


def _not_text(path: str | Path, line: int, found: str, missed: str = "not text") -> InputError:
    return InputError(f"{path}:{line}: {found}, {missed}", expected=PLAIN_TEXT, remedy="export the file again as UTF-8")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
