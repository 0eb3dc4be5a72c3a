"""Text as HTML, and pictures that stretch: bars and cells without letters, so that they stay readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

LONGEST_CELL = 120  # characters of one value in a table
CODE = re.compile(r"`([^`]*)`")


@dataclass(frozen=True)
class Mark:
    """One bar or cell of a picture.

    Attributes:
        kind: Its class in the style sheet.
        height: Share of the full height, from 0 to 1.
        title: What a pointer over it says.
    """

    kind: str
    height: float
    title: str


def prose(text: str) -> str:
    """Return a sentence as HTML, what is between backticks as code.

    >>> prose("`a < b` is true")
    '<code>a &lt; b</code> is true'
    """
    return CODE.sub(r"<code>\1</code>", escape(text))


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table that scrolls sideways where it is too wide; numbers stand to the right."""
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<div class=scroll tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td class=null>null</td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = str(value)
        return f"<td>{escape(text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + '…')}</td>"
    return f"<td class=number>{value}</td>" if isinstance(value, int) else f"<td class=number>{value:.6g}</td>"


def picture(marks: Sequence[Mark | None], *, label: str, kind: str) -> str:
    """Return marks side by side as an SVG that fills its place; None leaves a gap.

    Args:
        label: What the picture shows, for those who do not see it.
        kind: Class of the picture in the style sheet.
    """
    drawn = "".join(_mark(place, mark) for place, mark in enumerate(marks) if mark is not None)
    return (
        f'<svg class="{kind}" viewBox="0 0 {max(len(marks), 1)} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )


def _mark(place: int, mark: Mark) -> str:
    return (
        f'<rect class="{mark.kind}" x="{place + 0.08:.2f}" y="{1 - mark.height:.4f}" width=".84" '
        f'height="{mark.height:.4f}"><title>{escape(mark.title)}</title></rect>'
    )
