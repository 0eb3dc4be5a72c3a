"""Pages of a REST API: dlt's paginators, with an error instead of a silent end, an endless loop, or a leak to another server.

dlt's own guess counts pages from 0, takes a cursor for a parameter called `cursor`, and ends after one page if it
recognises nothing: rows twice, rows for ever, rows missing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dlt.sources.helpers.rest_client.paginators import (  # noqa: TID253  only a load imports this module
    BasePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from requests import Request, Response

    from mlops_assets.ingestion.rest_spec import Paginator

TOTALS = ("total", "count", "total_count", "totalcount", "total_pages", "totalpages", "pages")


class PagesUnclear(MlopsError):
    """An answer has more pages, and it does not say how to ask for them."""

    def __init__(self, path: str, sign: str) -> None:
        super().__init__(
            f"Pages of {path}",
            found=f"an answer with {sign}, and no `paginator` in the file",
            required="to know how the next page is asked for",
            remedy="Write `paginator:` with its type: page_number, offset, cursor, json_link, header_link, or "
            "single_page if one answer is everything.",
        )


class PageTwice(MlopsError):
    """The same page came twice in a row: asking on would never end."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Pages of {path}",
            found="the same page twice in a row",
            required="another page each time",
            remedy="Correct `paginator:`; the API seems not to know its parameter.",
        )


class PageElsewhere(MlopsError):
    """The next page is at another server, which must not see the credentials of this one."""

    def __init__(self, path: str, here: str, there: str) -> None:
        super().__init__(
            f"Pages of {path}",
            found=f"a next page at {there}",
            required=f"one at {here}, for which the credentials are",
            remedy="If the API is right, let `base_url` name the server that its links name.",
        )


class Pages(BasePaginator):
    """Asks for the next page as the file says, or as the first answer shows."""

    def __init__(self, spec: Paginator, path: str) -> None:
        super().__init__()
        self._path, self._last, self._server = path, b"", ""
        self._inner = _declared(spec)

    @property
    def has_next_page(self) -> bool:
        return self._inner is None or self._inner.has_next_page

    def init_request(self, request: Request) -> None:
        self._server = _server(request)
        if self._inner:
            self._inner.init_request(request)

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        content = hashlib.sha256(response.content).digest()
        if data and content == self._last:
            raise PageTwice(self._path)
        self._last = content
        self._inner = self._inner or _recognised(response, len(data or []), self._path)
        self._inner.update_state(response, data)

    def update_request(self, request: Request) -> None:
        if self._inner:
            self._inner.update_request(request)
        if self.has_next_page and _server(request) != self._server:
            raise PageElsewhere(self._path, self._server, _server(request))


def _server(request: Request) -> str:
    address = urlsplit(request.url)
    return f"{address.scheme}://{address.netloc}"


def _declared(spec: Paginator) -> BasePaginator | None:
    if spec.type == "auto":
        return None
    if spec.type == "page_number":
        return PageNumberPaginator(
            base_page=spec.first_page, page_param=spec.page_param or "page", total_path=spec.total_path
        )
    if spec.type == "offset":
        return OffsetPaginator(limit=spec.limit or 0, total_path=spec.total_path)
    if spec.type == "cursor":
        return JSONResponseCursorPaginator(spec.cursor_path or "", cursor_param=spec.cursor_param)
    if spec.type == "json_link":
        return JSONLinkPaginator(next_url_path=spec.next_url_path or "next")
    return HeaderLinkPaginator() if spec.type == "header_link" else SinglePagePaginator()


def _recognised(response: Response, rows: int, path: str) -> BasePaginator:
    from dlt.sources.helpers.rest_client.detector import PaginatorFactory

    paginator, certainty = PaginatorFactory().create_paginator(response)
    if certainty == 1.0:
        return paginator
    if sign := _sign_of_more(response.json(), rows):
        raise PagesUnclear(path, sign)
    return SinglePagePaginator()


def _sign_of_more(answer: Any, rows: int) -> str | None:
    if not isinstance(answer, dict):
        return None
    parts = [answer, *(part for part in answer.values() if isinstance(part, dict))]
    for name, value in ((name, value) for part in parts for name, value in part.items()):
        if name.lower().startswith("next") and value not in (None, "", False):
            return f"`{name}: {value}`"
        limit = 1 if "pages" in name.lower() else rows
        if name.lower() in TOTALS and isinstance(value, int) and value > limit:
            return f"`{name}: {value}` and {rows} rows"
    return None
