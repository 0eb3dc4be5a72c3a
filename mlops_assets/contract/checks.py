"""The names of a table's checks, known from its contract alone."""

from mlops_assets.contract.names import NULL_SHARE_PREFIX, Severity
from mlops_assets.contract.spec import TableSpec


def check_names(spec: TableSpec) -> list[tuple[str, Severity]]:
    """Return every check of a table with its severity, in the order in which an audit reports them."""
    names: list[tuple[str, Severity]] = [(rule.name, rule.severity) for rule in spec.rules]
    if spec.time_column is not None:
        names.append(("in_window", "quarantine"))
    if spec.key:
        names.append(("unique_key", "quarantine"))
    if spec.row_count is not None:
        names.append(("row_count", spec.row_count.severity))
    names.extend((f"{NULL_SHARE_PREFIX}{share.column}", share.severity) for share in spec.null_share)
    if spec.freshness_days is not None:
        names.append(("freshness", "warn"))
    if spec.key:
        names.append(("no_corrections", "warn"))
    return names
