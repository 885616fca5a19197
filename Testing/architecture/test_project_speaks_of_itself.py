"""What a newcomer reads must be true here: links and paths that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_every_relative_link_in_the_documents_leads_somewhere():
    assert DOCUMENTS
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in LINK.findall(document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken


def test_every_command_that_the_documents_give_to_dev_py_exists():
    commands = {
        command
        for document in DOCUMENTS
        for command in re.findall(r"dev\.py (\w+)", document.read_text(encoding="utf-8"))
    }
    assert commands <= {"demo", "test", "host", "bench"}
