"""Where model sets are looked for, and in which order."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from SynthSegPlusLib.contract.errors import ModelError
from SynthSegPlusLib.inference.model_set import DESCRIPTION_FILE, ModelSet, read_description

ENVIRONMENT = "SYNTHSEGPLUS_MODELS"
"""Environment variable that names a folder of models."""

PUBLISHED_DESCRIPTION = "published.json"
"""Description of the published weight files, which come without one; data of this library."""


def load_folder(folder: Path) -> ModelSet:
    """The set in a folder (or of a description file): see `ModelSet.load`."""
    folder = folder.expanduser()
    if folder.name == DESCRIPTION_FILE and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise ModelError(f"There is no model set at {folder}: no such folder. Name the folder that holds the weights.")
    own = folder / DESCRIPTION_FILE
    found = ModelSet.from_dict(read_description(own), folder, own) if own.is_file() else _published(folder)
    if found.roles:
        return found
    files = ", ".join(dict.fromkeys(path.name for path in found.absent.values()))
    raise ModelError(f"The folder {folder} is no model set: it holds none of {files}. {found.source}".strip())


def _published(folder: Path) -> ModelSet:
    """The published weights in a folder, known by their file names; whichever are there."""
    path = Path(str(resources.files("SynthSegPlusLib.inference") / "data" / PUBLISHED_DESCRIPTION))
    return ModelSet.from_dict(read_description(path), folder, path)


def find_model_set(named: str | Path | None = None) -> ModelSet:
    """See `ModelSet.find`."""
    for where, folder in _places(named):
        try:
            return dataclasses.replace(load_folder(folder), found_in=where)
        except ModelError as error:
            if where in ("named", "environment"):  # what a person chose is never replaced in silence
                source = f" (named by {ENVIRONMENT})" if where == "environment" else ""
                raise ModelError(f"{error}{source}") from error
    raise ModelError(
        f"No model set was found: none was named, {ENVIRONMENT} and FREESURFER_HOME hold none, and none is bundled; "
        f"name the folder that holds the weights."
    )


def model_sets(named: str | Path | None = None) -> list[ModelSet]:
    """Every usable model set, the one that `ModelSet.find` takes first."""
    return survey(named)[0]


def survey(named: str | Path | None = None) -> tuple[list[ModelSet], list[str]]:
    """All places where sets are looked for: the usable sets, and a sentence for each that is not."""
    found: list[ModelSet] = []
    problems: list[str] = []
    for where, folder in _places(named):
        try:
            found.append(dataclasses.replace(load_folder(folder), found_in=where))
        except ModelError as error:
            if where != "freesurfer":  # many FreeSurfer versions hold other models only
                problems.append(str(error))
    return found, problems


def bundled_folder() -> Path:
    """The folder of the sets that come with the library."""
    return Path(str(resources.files("SynthSegPlusLib") / "models"))


def _bundled() -> list[Path]:
    folders = [path.parent for path in sorted(bundled_folder().glob(f"*/{DESCRIPTION_FILE}"))]
    return sorted(folders, key=_rank, reverse=True)


def _rank(folder: Path) -> int:
    try:
        return load_folder(folder).rank
    except ModelError:
        return -1


def _places(named: str | Path | None) -> Iterator[tuple[str, Path]]:
    if named:
        yield "named", _named_folder(named)
    if os.environ.get(ENVIRONMENT):
        yield "environment", Path(os.environ[ENVIRONMENT])
    if os.environ.get("FREESURFER_HOME"):
        yield "freesurfer", Path(os.environ["FREESURFER_HOME"]) / "models"
    for folder in _bundled():
        yield "bundled", folder


def _named_folder(named: str | Path) -> Path:
    """A path, or the name of a bundled set where no such path exists."""
    path = Path(named).expanduser()
    is_plain_name = path.name == str(named) and not path.exists()
    bundled = bundled_folder() / path.name
    return bundled if is_plain_name and (bundled / DESCRIPTION_FILE).is_file() else path
