"""The contract of a raw table as asset checks: what is checked, and what was found."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg

from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.contract.checks import check_names
from mlops_assets.contract.conditions import conditions
from mlops_assets.contract.names import table_of
from mlops_assets.ingestion.spec import IngestionSpec

if TYPE_CHECKING:
    from mlops_assets.contract.findings import Finding

EFFECTS = {
    "warn": "Otherwise it is reported.",
    "quarantine": "Rows that break it are set aside.",
    "block": "Otherwise the table stays as it was, and what is downstream waits.",
}


class JudgedWindow(Protocol):
    """A window, or a whole table, that was held against a contract."""

    @property
    def window(self) -> str | None: ...

    @property
    def findings(self) -> "Sequence[Finding]": ...


def raw_key(reference: str) -> dg.AssetKey:
    """Return the asset key of a table written as `<source>/<table>`, or as `<source>/<table>@current`."""
    return dg.AssetKey(["raw", *table_of(reference).split("/")])


def contract_check_specs(
    spec: IngestionSpec, table: str, windows: dg.PartitionsDefinition | None
) -> Iterator[dg.AssetCheckSpec]:
    """Yield one spec for each check of a table."""
    declared = spec.tables[table]
    described = conditions(declared)
    for name, severity in check_names(declared):
        yield dg.AssetCheckSpec(
            name,
            asset=raw_key(f"{spec.name}/{table}"),
            description=f"{described[name]} {EFFECTS[severity]}",
            blocking=severity == "block",
            partitions_def=windows,
            metadata={
                "contract_version": declared.version,
                "owners": ", ".join(declared.owners or spec.owners) or "nobody",
                "severity": severity,
            },
        )


def contract_check_results(
    context: dg.AssetExecutionContext, key: dg.AssetKey, parts: Sequence[JudgedWindow]
) -> Iterator[dg.AssetCheckResult]:
    """Yield one result per check; a run over several windows also logs each of them, which Dagster does not."""
    found = [(part.window, finding) for part in parts for finding in part.findings]
    if len(parts) > 1:
        for window, finding in found:
            evaluation = dg.AssetCheckEvaluation(key, finding.rule, partition=window, **_outcome([(window, finding)]))
            context.log_event(evaluation)  # pyright: ignore[reportArgumentType]  it takes check evaluations too
    for name in dict.fromkeys(finding.rule for _, finding in found):
        if dg.AssetCheckKey(key, name) in context.selected_asset_check_keys:
            outcome = _outcome([one for one in found if one[1].rule == name])
            yield dg.AssetCheckResult(asset_key=key, check_name=name, **outcome)


def _outcome(found: Sequence[tuple[str | None, "Finding"]]) -> dict[str, Any]:
    failed = [one for one in found if not one[1].passed]
    window, worst = (failed or list(found))[0]
    severity = dg.AssetCheckSeverity.ERROR if worst.severity == "block" else dg.AssetCheckSeverity.WARN
    metadata: dict[str, dg.MetadataValue] = {
        "failed_rows": dg.MetadataValue.int(sum(finding.failed for _, finding in found)),
        "rows": dg.MetadataValue.int(sum(finding.total for _, finding in found)),
    }
    if len(found) > 1 and failed:
        broken = [(key, one.failed, one.total, one.detail) for key, one in failed]
        metadata["windows"] = markdown_table(("window", "failed", "rows", "found"), broken)
    if worst.sample:
        header = list(worst.sample[0])
        metadata["sample"] = markdown_table(header, [[row.get(name) for name in header] for row in worst.sample])
    detail = f"{window}: {worst.detail}" if len(found) > 1 and failed else worst.detail
    return {"passed": not failed, "severity": severity, "description": detail, "metadata": metadata}
