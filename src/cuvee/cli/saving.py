"""What commands write: whether they may, asked before the work, and the writing."""

import os
from collections.abc import Iterable
from pathlib import Path

import typer

from cuvee.cli.terminal import printable
from cuvee.errors import InputError


def refuse_overwriting(save: Path | None, force: bool, *, inputs: Iterable[Path | None] = ()) -> None:
    """Raise InputError where a file is there already that was not to be overwritten, or where none can be written.

    Asked before hours are spent on what is to stand there; a missing folder is made when it is written.

    Parameters
        inputs    Files that the command reads: what is written never takes their place.
    """
    if save is None:
        return
    if save.is_file() and any(each is not None and each.is_file() and save.samefile(each) for each in inputs):
        raise InputError(
            f"{save}: is what the command reads", expected="another file to write", remedy="choose another path"
        )
    if save.is_file() and not force:
        raise InputError(f"{save}: is there already", expected="a new file", remedy="overwrite it with --force")
    nearest = next((each for each in save.parents if each.exists()), Path())
    reason = "is a directory" if save.is_dir() else "" if nearest.is_dir() else f"{nearest} is no folder"
    if not reason and not os.access(nearest, os.W_OK):
        reason = f"{nearest} is {'on a read-only file system' if _is_read_only(nearest) else 'not yours to write in'}"
    if reason:
        raise InputError(
            f"{save}: cannot be written ({reason})",
            expected="a file in a folder that can be written",
            remedy="choose another path or free its folder",
        )


def _is_read_only(folder: Path) -> bool:
    """Whether the file system of a folder takes no writing at all."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def require_folder(name: str | None) -> Path | None:
    """The folder of --save-dir, before hours are spent on what is to be written there; None where none is asked for.

    What had to be made to see whether that is possible is taken away again, for there may be nothing to write.

    Raises      InputError: it cannot be used.
    """
    if name is None:
        return None
    folder, reason = Path(name), "an empty text" if not name.strip() else ""
    if not reason:
        try:
            made = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            reason = "" if os.access(folder, os.W_OK) else "not allowed to write there"
            for each in made:
                each.rmdir()
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
    if reason:
        raise InputError(
            f"--save-dir {name!r}: cannot be used ({reason})",
            expected="a folder that can be written, or made",
            remedy="choose another folder",
        )
    return folder


def write_files(folder: Path, contents: dict[str, str]) -> None:
    """Write texts by file name, and say so on stderr."""
    from cuvee.files import write_atomic

    for name, content in contents.items():
        write_atomic(folder / name, content)
    typer.echo(f"written to {printable(str(folder))}: {', '.join(contents)}", err=True)
