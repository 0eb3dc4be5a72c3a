"""What each check of a table demands, in words."""

from mlops_assets.contract.rules import AcceptedValues, Range, RowCount
from mlops_assets.contract.spec import TableSpec

BUILT_IN = {
    "in_window": "Every row lies in the window that the source was asked for.",
    "unique_key": "No two rows share their key.",
    "no_corrections": "No row that was published before has changed.",
    "schema_unchanged": "The source delivers no column that is neither declared nor published.",
}


def conditions(spec: TableSpec) -> dict[str, str]:
    """Return a sentence for each check, by name."""
    sentences = BUILT_IN | {rule.name: f"`{rule.sql}` is true in every row." for rule in spec.rules}
    sentences |= {rule.name: _accepted(rule) for rule in spec.accepted_values}
    sentences |= {rule.name: _range(rule) for rule in spec.ranges}
    if spec.python is not None:
        sentences[spec.python.name] = f"Every row keeps the pandera schema `{spec.python.schema_}`."
    sentences |= {check.name: f"`{check.sql}` is true." for check in spec.checks}
    sentences |= {limit.name: f"At most {limit.max:.4g} of `{limit.column}` is null." for limit in spec.null_share}
    if spec.row_count is not None:
        sentences["row_count"] = _row_count(spec.row_count)
    if spec.freshness_days is not None:
        sentences["freshness"] = f"The newest row is at most {spec.freshness_days:g} days old."
    return sentences


def _accepted(rule: AcceptedValues) -> str:
    return f"`{rule.column}` is one of {', '.join(f'`{value}`' for value in rule.values)}, or null."


def _range(rule: Range) -> str:
    bounds = (("at least", rule.min), ("at most", rule.max))
    limits = " and ".join(f"{word} {_written(at)}" for word, at in bounds if at is not None)
    return f"`{rule.column}` is {limits}, or null."


def _written(bound: float | str) -> str:
    return f"`{bound}`" if isinstance(bound, str) else f"{bound:,.10g}"


def _row_count(band: RowCount) -> str:
    sentence = f"There are {'at least ' if band.max is None else ''}{band.min:,}"
    sentence += f"{'' if band.max is None else f' to {band.max:,}'} rows"
    if band.history is None:
        return f"{sentence}."
    return f"{sentence}, within {band.history.share:.0%} of the median of the {band.history.windows} windows before."
