"""What the pages hold: fenced blocks with what is written above them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^( *)```(\w*)\s*$")
_MARK = re.compile(r"^<!-- (not run|settings): (.+) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Parameters
    ----------
    language
        Such as ``python``.
    text
        Its lines.
    line
        Number of its first line, from 1.
    mark
        ``not run`` or ``settings``, from a comment above it, else empty.
    value
        What follows the mark: a reason, or the kind of settings.
    """

    language: str
    text: str
    line: int
    mark: str = ""
    value: str = ""


def pages() -> list[Path]:
    """Every page that people read: the README and what lies in docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Path of a page in the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page in one language, in order."""
    found: list[Block] = []
    mark, value, inside, begun = "", "", None, 0
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            inside, begun, body = fence.group(2) or "text", number + 1, []
        elif inside is not None and fence:
            found.append(Block(inside, "\n".join(body), begun, mark, value))
            inside, mark, value = None, "", ""
        elif inside is not None:
            body.append(line)
        elif line.strip():
            above = _MARK.match(line)
            mark, value = above.groups() if above else ("", "")
    assert inside is None, f"{name_of(page)}: a block that begins in line {begun} has no end."
    return [block for block in found if block.language == language]


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block, as lists of words."""
    joined = block.text.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]
