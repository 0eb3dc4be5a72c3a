"""Facts as Markdown. Whatever stands in a fact is shown as text, never taken as markup."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def text(value: object) -> str:
    r"""Return a value as it may stand in a sentence or a cell.

    >>> text("carrier_a|b"), text(0.123456), text(None), text(True)
    ('carrier\\_a\\|b', '0.1235', '', 'yes')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return "" if math.isnan(value) else f"{value:.4g}"
        case int():
            return f"{value:,}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} {value.tzname() or ''}".rstrip()
        case _:
            return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """Return a hash, a path or another literal in code type.

    >>> code("a`b")
    '`` a`b ``'
    """
    plain = " ".join(str(value).split()).replace("|", "\\|")
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of values; one without rows is no table.

    >>> print(table(("name", "share"), [("a", 0.5)]))
    | name | share |
    | --- | --- |
    | a | 0.5 |
    """
    if not rows:
        return ""
    lines = [list(map(text, header)), ["---"] * len(header), *(list(map(text, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def facts(values: Mapping[str, object]) -> str:
    """Return a list of named values, those that are None or empty left out."""
    return "\n".join(f"- **{text(name)}:** {text(value)}" for name, value in values.items() if value not in (None, ""))


def bullets(lines: Sequence[object]) -> str:
    """Return a list of sentences."""
    return "\n".join(f"- {text(line)}" for line in lines)


def document(title: str, sections: Mapping[str, str]) -> str:
    """Return a document; sections without content are left out."""
    parts = [f"# {text(title)}"] if title else []
    for name, content in sections.items():
        if content:
            parts.append(f"## {text(name)}\n\n{content}" if name else content)
    return "\n\n".join(parts) + "\n"
