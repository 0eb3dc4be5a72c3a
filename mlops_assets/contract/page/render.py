"""The page as a whole: who answers for the table, how its rows went over the windows, and what its checks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from mlops_assets.contract.page.markup import Mark, picture, prose, table
from mlops_assets.contract.page.rules import name_of, rules_section, samples_section
from mlops_assets.contract.spec import TableSpec
from mlops_assets.contract.verdict import contract_hash

NOTHING = "<p class=none>None.</p>"
STATES = {"sound": "✓ sound", "warn": "! warnings", "quarantine": "! rows set aside", "block": "✕ blocked"}


def render_page(
    spec: TableSpec, verdicts: Sequence[Mapping[str, Any]], *, reference: str, owners: Sequence[str], total: int
) -> bytes:
    """Return a self-contained HTML page about a table.

    Args:
        verdicts: Of its newest windows, or loads, oldest first; at least one.
        reference: `source/table`.
        owners: Who answers for it.
        total: How many windows or loads have a verdict.
    """
    newest, state = verdicts[-1], _state(verdicts[-1])
    filled = {
        "reference": escape(reference),
        "description": prose(spec.description),
        "state": state,
        "state_text": STATES[state],
        "facts": _facts(spec, verdicts, owners, total),
        "rows": _chart("Rows published", "rows", verdicts),
        "quarantined": _chart("Rows set aside", "quarantined_rows", verdicts),
        "first": escape(name_of(verdicts[0])),
        "last": escape(name_of(newest)),
        "rules": rules_section(spec, verdicts),
        "samples": samples_section(verdicts) or NOTHING,
        "schema_changes": _schema_changes(verdicts) or NOTHING,
        "windows": _windows(verdicts),
    }
    page = (files("mlops_assets.contract.page") / "page.html").read_text(encoding="utf-8")
    return Template(page).substitute(filled).encode()


def _state(verdict: Mapping[str, Any]) -> str:
    broken = {one["severity"] for one in verdict["findings"] if not one["passed"]}
    if not verdict["quarantined_rows"]:
        broken.discard("quarantine")  # they were released since
    return next((severity for severity in ("block", "quarantine", "warn") if severity in broken), "sound")


def _facts(spec: TableSpec, verdicts: Sequence[Mapping[str, Any]], owners: Sequence[str], total: int) -> str:
    newest = verdicts[-1]
    shown = f"{len(verdicts):,}" if len(verdicts) == total else f"the newest {len(verdicts):,} of {total:,}"
    today = _version(spec.version, contract_hash(spec))
    judged_by = _judged_by(newest)
    facts = {
        "Owner": ", ".join(owners) or "nobody",
        "Contract": today if today == judged_by else f"{today}; the newest verdict is by {judged_by}",
        "Key": ", ".join(spec.key) or "none",
        "Published by": spec.publish,
        "New columns": spec.new_columns,
        "Loads" if newest["window"] is None else "Windows": shown,
        "Newest load": _minute(newest["ingested_at"]),
    }
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _judged_by(verdict: Mapping[str, Any]) -> str:
    contract = verdict.get("contract")  # the first verdicts of a lake may be older than the versions of contracts
    return _version(contract["version"], contract["sha256"]) if contract else "an unnamed version"


def _version(number: int, sha256: str) -> str:
    return f"version {number} ({sha256[:12]})"


def _minute(at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _chart(title: str, name: str, verdicts: Sequence[Mapping[str, Any]]) -> str:
    most = max(verdict[name] for verdict in verdicts)
    marks = [
        Mark(
            "block" if verdict["blocked"] else name,
            verdict[name] / most if most else 0,
            f"{name_of(verdict)}: {verdict[name]:,}{' (blocked)' if verdict['blocked'] else ''}",
        )
        for verdict in verdicts
    ]
    newest = verdicts[-1][name]
    return (
        f"<figure><figcaption>{title} <span>up to {most:,}; newest {newest:,}</span></figcaption>"
        f"{picture(marks, label=f'{title} by window, up to {most:,}', kind='chart')}</figure>"
    )


def _schema_changes(verdicts: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (name_of(verdict), column, kind) for verdict in verdicts for column, kind in verdict["schema_changes"].items()
    ]
    return table(("window", "column", "type"), rows) if rows else ""


def _windows(verdicts: Sequence[Mapping[str, Any]]) -> str:
    header = ("window", "state", "rows", "set aside", "contract", "table version", "loaded at", "load")
    rows = [
        (
            name_of(verdict),
            STATES[_state(verdict)],
            verdict["rows"],
            verdict["quarantined_rows"],
            _judged_by(verdict),
            verdict["version"],
            _minute(verdict["ingested_at"]),
            verdict["load_id"],
        )
        for verdict in reversed(verdicts)
    ]
    return table(header, rows)
