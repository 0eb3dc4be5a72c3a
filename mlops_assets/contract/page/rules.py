"""The checks of a table one by one: what each demands, and in which windows it held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlops_assets.contract.checks import check_names
from mlops_assets.contract.conditions import conditions
from mlops_assets.contract.page.markup import Mark, picture, prose, table
from mlops_assets.contract.spec import TableSpec

GONE = "No longer in the contract."
EFFECTS = {"warn": "reported", "quarantine": "rows that break it are set aside", "block": "stops the publication"}


def rules_section(spec: TableSpec, verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return every check of the contract, then those that only older verdicts know.

    Args:
        verdicts: Oldest first.
    """
    found = [{one["rule"]: one for one in verdict["findings"]} for verdict in verdicts]
    severities = {name: str(severity) for name, severity in check_names(spec)}
    gone = {name: one["severity"] for findings in found for name, one in findings.items() if name not in severities}
    demands = conditions(spec) | dict.fromkeys(gone, GONE)
    names = [name_of(verdict) for verdict in verdicts]
    return "".join(
        _rule(rule, severity, demands[rule], names, [findings.get(rule) for findings in found])
        for rule, severity in (severities | gone).items()
    )


def samples_section(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return for each check the rows that the newest window showed which broke it."""
    newest: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for verdict in verdicts:
        newest |= {one["rule"]: (name_of(verdict), one) for one in verdict["findings"] if one["sample"]}
    return "".join(_sample(rule, window, found) for rule, (window, found) in newest.items())


def name_of(verdict: Mapping[str, Any]) -> str:
    """Return the window of a verdict; of a whole table, when it was loaded."""
    return str(verdict["window"] or verdict["ingested_at"])


def _rule(
    rule: str, severity: str, demand: str, names: Sequence[str], found: Sequence[Mapping[str, Any] | None]
) -> str:
    judged = [one for one in found if one is not None]
    failed = [one for one in judged if not one["passed"]]
    marks = [
        None if one is None else Mark("kept" if one["passed"] else severity, 1, f"{name}: {one['detail']}")
        for name, one in zip(names, found, strict=True)
    ]
    label = f"{rule}: {len(judged) - len(failed)} passed, {len(failed)} failed"
    newest = judged[-1]["detail"] if judged else "not judged yet"
    rows = sum(one["failed"] for one in failed if one["sample"])  # a check of the whole table has no broken rows
    broken = f" ({rows:,} row{'' if rows == 1 else 's'})" if rows else ""
    return (
        f'<article class=rule><h3>{escape(rule)} <span class="chip {severity}" title="{EFFECTS[severity]}">{severity}</span></h3>'
        f"<p>{prose(demand)}</p>{picture(marks, label=label, kind='strip')}"
        f"<p class=counts><b>{len(judged) - len(failed):,}</b> passed, <b>{len(failed):,}</b> failed{broken}. "
        f"Newest: {escape(newest)}.</p></article>"
    )


def _sample(rule: str, window: str, found: Mapping[str, Any]) -> str:
    header = list(found["sample"][0])
    rows = [[row.get(name) for name in header] for row in found["sample"]]
    return f"<h3>{escape(rule)} <small>{escape(window)}: {escape(found['detail'])}</small></h3>{table(header, rows)}"
