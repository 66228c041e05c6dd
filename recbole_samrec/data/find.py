"""Find the folder of a data set, or fetch it from where RecBole publishes it."""

from __future__ import annotations

import http.client
import importlib.util
import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from recbole_samrec.data.catalog import PUBLISHED, describe_source, find_close_names
from recbole_samrec.data.convert.atomic import stage_dataset
from recbole_samrec.utils.errors import DataError

_CHUNK = 1 << 20
_PACKAGED = "ml-100k"
_FAILURES = (OSError, ValueError, RuntimeError, http.client.HTTPException, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class LocalDataset:
    """A data set on this machine.

    Attributes:
        name: Name of the set.
        path: Its folder.
        size: Bytes of its interaction files.
        files: Names of all files of the set.
    """

    name: str
    path: Path
    size: int
    files: tuple[str, ...]


def find_dataset(name: str, data_path: str | Path, *, fetch: bool = True) -> Path:
    """Find the folder of the data set ``name``.

    RecBole always reads ml-100k from its own package, whatever ``data_path`` is, so that folder comes first.

    Args:
        name: Name of the set.
        data_path: Folder with one folder for each set.
        fetch: Whether to download a set that RecBole has a link for.

    Raises:
        DataError: The set does not exist and could not be downloaded, or its name is unknown.
    """
    packaged = _find_packaged_folder()
    if name == _PACKAGED and packaged:
        return packaged
    folder = Path(data_path) / name
    if _list_interaction_files(folder, name):
        return folder
    if fetch and name in read_recbole_links():
        return download_dataset(name, data_path)
    if name in {*read_recbole_links(), *PUBLISHED} or name.startswith("Amazon_"):
        raise DataError(f"{name} is not in {folder}: {describe_source(name)}")
    known = {*read_recbole_links(), *PUBLISHED, *(found.name for found in list_datasets(data_path))}
    close = ", ".join(find_close_names(name, known)) or "none"
    raise DataError(f"{name} is not in {folder} and is unknown (nearest: {close}): {describe_source(name)}")


def is_here(name: str, data_path: str | Path) -> bool:
    """Return True if a data set is on this machine; see :func:`find_dataset`."""
    try:
        find_dataset(name, data_path, fetch=False)
    except DataError:
        return False
    return True


def list_datasets(data_path: str | Path) -> list[LocalDataset]:
    """List the sets in ``data_path`` and in RecBole's package, by name, without reading files."""
    folder = Path(data_path)
    folders = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    packaged = _find_packaged_folder()
    found = {path.name: path for path in folders}
    if packaged:
        found[_PACKAGED] = packaged
    return [_describe_local(name, path) for name, path in sorted(found.items()) if _list_interaction_files(path, name)]


def download_dataset(name: str, data_path: str | Path, timeout: float = 10.0, url: str | None = None) -> Path:
    """Fetch a data set from RecBole's own link and return its folder.

    Args:
        name: Name of the set in RecBole's list.
        data_path: Folder with one folder for each set.
        timeout: Seconds to wait for the server at each step.
        url: Address to download from instead of RecBole's link.

    Raises:
        DataError: The download failed; the message names the command that converts the provider's file.
    """
    folder = Path(data_path) / name
    url = url or read_recbole_links().get(name)
    if url is None:
        raise DataError(f"{name} is not in {folder} and RecBole has no link for it: {describe_source(name)}")
    try:
        with tempfile.TemporaryDirectory() as scratch, stage_dataset(folder, name) as stage:
            archive = Path(scratch) / "archive.zip"
            _fetch(url, archive, timeout)
            _unpack(archive, stage, old=PurePosixPath(url).stem, new=name)
    except _FAILURES as error:
        reason = _explain_failure(error)
        raise DataError(
            f"{name} is not in {folder} and the download failed ({reason}): {describe_source(name)}"
        ) from error
    return folder


def read_recbole_links() -> dict[str, str]:
    """Read RecBole's list of data sets and their links; empty if RecBole is not installed."""
    root = _find_recbole_folder()
    path = root / "properties" / "dataset" / "url.yaml" if root else None
    if path is None or not path.is_file():
        return {}
    pairs = (line.partition(": ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name.strip(): link.strip() for name, _, link in pairs if link and not name.startswith("#")}


def _find_recbole_folder() -> Path | None:
    """Return the folder of RecBole's package without importing it."""
    spec = importlib.util.find_spec("recbole")
    return Path(spec.origin).parent if spec and spec.origin else None


def _find_packaged_folder() -> Path | None:
    root = _find_recbole_folder()
    folder = root / "dataset_example" / _PACKAGED if root else None
    return folder if folder and folder.is_dir() else None


def _list_interaction_files(folder: Path, name: str) -> list[Path]:
    """Return ``name.inter``, or the benchmark files ``name.<part>.inter``."""
    whole = folder / f"{name}.inter"
    if whole.is_file():
        return [whole]
    return sorted(path for path in folder.glob("*.inter") if path.name.startswith(f"{name}."))


def _describe_local(name: str, folder: Path) -> LocalDataset:
    files = tuple(sorted(path.name for path in folder.iterdir() if path.name.startswith(f"{name}.")))
    return LocalDataset(name, folder, sum(path.stat().st_size for path in _list_interaction_files(folder, name)), files)


def _fetch(url: str, target: Path, timeout: float) -> None:
    with urllib.request.urlopen(url, timeout=timeout) as answer, target.open("wb") as out:
        shutil.copyfileobj(answer, out, _CHUNK)


def _unpack(archive: Path, stage: Path, old: str, new: str) -> None:
    """Write the atomic files of an archive to ``stage``, named ``new`` where they are named ``old``."""
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            _check_inside(info.filename)
        for info, file in _list_members(packed):
            target = new + file[len(old) :] if file.startswith(f"{old}.") else file
            with packed.open(info) as source, (stage / target).open("xb") as out:
                shutil.copyfileobj(source, out, _CHUNK)
    if not _list_interaction_files(stage, new):
        raise ValueError(f"the archive does not contain {new}.inter")


def _list_members(packed: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    for info in packed.infolist():
        file = PurePosixPath(info.filename).name
        if not info.is_dir() and not file.startswith(".") and not info.filename.startswith("__MACOSX"):
            yield info, file


def _check_inside(member: str) -> None:
    for path in (PurePosixPath(member), PureWindowsPath(member)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            raise ValueError(f"the archive's member {member!r} is outside its folder")


def _explain_failure(error: Exception) -> str:
    """Explain in a few words why a download failed."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, (zipfile.BadZipFile, zlib.error)):
        return "the response is not a complete zip archive"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no response in time"
    return str(getattr(cause, "strerror", None) or cause).strip()
