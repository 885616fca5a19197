"""A small equivalent of Slicer's SampleData: sources are registered, and read when their file is on this disk."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

import slicer

SOURCES: dict[str, list[Any]] = {}
MODULE = types.SimpleNamespace(name="SampleData", title="Sample Data", path="")


class SampleDataSource:
    """What `registerCustomSampleDataSource` describes."""

    def __init__(self, sampleName: str | None = None, **keywords: Any) -> None:
        self.sampleName = sampleName
        for name in ("uris", "fileNames", "nodeNames", "checksums", "loadFiles", "loadFileTypes"):
            value = keywords.pop(name, None)
            setattr(self, name, value if isinstance(value, list | tuple) or value is None else [value])
        for name, value in keywords.items():
            setattr(self, name, value)


class SampleDataLogic:
    """Registers and reads sources."""

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom", sampleName: str | None = None, **keywords: Any
    ) -> None:
        source = SampleDataSource(sampleName, **keywords)
        known = SOURCES.setdefault(category, [])
        if all(other.sampleName != source.sampleName for other in known):
            known.append(source)

    @staticmethod
    def sourceForSampleName(name: str) -> SampleDataSource | None:
        return next((s for sources in SOURCES.values() for s in sources if s.sampleName == name), None)

    def downloadSample(self, name: str) -> Any:
        """Load a registered sample from this disk; the host downloads nothing."""
        source = self.sourceForSampleName(name)
        if source is None:
            raise ValueError(f"There is no sample data {name!r}.")
        address = urlparse(source.uris[0])
        path = Path(url2pathname(unquote(address.path)) if address.scheme == "file" else source.uris[0])
        if not path.is_file():
            raise RuntimeError(f"The test host downloads nothing, and {source.uris[0]} is not on this disk.")
        return slicer.util.loadVolume(str(path), {"name": (source.nodeNames or [name])[0]})


downloadSample = SampleDataLogic().downloadSample
