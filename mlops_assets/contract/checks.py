"""The names of a table's checks, known from its contract alone."""

from mlops_assets.contract.names import Severity
from mlops_assets.contract.predicates import predicates
from mlops_assets.contract.spec import TableSpec


def check_names(spec: TableSpec) -> list[tuple[str, Severity]]:
    """Return every check of a table with its severity, in the order in which an audit reports them."""
    names: list[tuple[str, Severity]] = [(rule.name, rule.severity) for rule in predicates(spec, None)]
    if spec.python is not None:
        names.append((spec.python.name, spec.python.severity))
    names.extend((check.name, check.severity) for check in spec.checks)
    if spec.row_count is not None:
        names.append(("row_count", spec.row_count.severity))
    names.extend((share.name, share.severity) for share in spec.null_share)
    if spec.freshness_days is not None:
        names.append(("freshness", "warn"))
    if compares_with_published(spec):
        names.append(("no_corrections", "warn"))
    return [*names, ("schema_unchanged", schema_severity(spec))]


def compares_with_published(spec: TableSpec) -> bool:
    """Tell whether a changed row is worth a report: a history and an upsert are there for changes."""
    return bool(spec.key) and spec.publish in {"replace", "append", "in_place"}


def schema_severity(spec: TableSpec) -> Severity:
    """Return what a new column means."""
    return "block" if spec.new_columns == "refuse" else "warn"
