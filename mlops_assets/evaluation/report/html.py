"""Markdown of this folder as one HTML file: style and pictures inside, nothing fetched, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import re
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = re.compile(r'<img src="([^"]+)"')


def to_html(markdown: str, *, title: str, pictures: Mapping[str, bytes]) -> bytes:
    """Return a page.

    Args:
        pictures: PNG bytes by the path that the Markdown names.
    """
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = body.replace("<table>", "<div class=scroll tabindex=0><table>").replace("</table>", "</table></div>")
    page = (files("mlops_assets.evaluation.report") / "page.html").read_text(encoding="utf-8")
    return (
        Template(page)
        .substitute(title=escape(title), body=IMAGE.sub(lambda found: _inside(found, pictures), body))
        .encode()
    )


def _inside(found: re.Match[str], pictures: Mapping[str, bytes]) -> str:
    data = base64.b64encode(pictures[found[1]]).decode()
    return f'<img loading="lazy" src="data:image/png;base64,{data}"'
