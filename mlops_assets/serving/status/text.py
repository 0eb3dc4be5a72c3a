"""Numbers and times as the status page writes them."""

from __future__ import annotations

from html import escape

MINUTE, HOUR, DAY = 60, 3600, 86400
UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))
PLAIN_MS = 10


def count(value: float) -> str:
    """Return a whole number.

    >>> count(12345)
    '12,345'
    """
    return f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """Return a share in percent.

    >>> share(3, 2000), share(0, 5), share(0, 0)
    ('0.15 %', '0 %', '—')
    """
    return f"{100 * part / whole:.3g} %" if whole else "—"


def milliseconds(value: float) -> str:
    """Return a time.

    >>> milliseconds(0.734), milliseconds(48.21), milliseconds(0)
    ('0.73 ms', '48 ms', '—')
    """
    if not value:
        return "—"
    return f"{value:.2g} ms" if value < PLAIN_MS else f"{value:,.0f} ms"


def age(seconds: float) -> str:
    """Return how long something lasts.

    >>> age(5), age(150), age(90000)
    ('5 s', '2 min', '1 d')
    """
    return next((f"{seconds // unit:.0f} {name}" for unit, name in UNITS if seconds >= unit), f"{seconds:.0f} s")


def fact(name: str, text: str, *, kind: str = "") -> str:
    """Return one term with its value."""
    styled = f' class="{kind}"' if kind else ""
    return f"<div><dt>{escape(name)}</dt><dd{styled}>{escape(text)}</dd></div>"
