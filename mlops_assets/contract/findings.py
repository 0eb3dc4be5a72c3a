"""What one check of a contract found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.contract.names import Severity

SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Broken:
    """The rows that break one rule.

    Attributes:
        rule: Name of the rule.
        severity: What becomes of the rows.
        rows: Their numbers, from 0, ascending.
        other: Failures that belong to no row, as sentences.
    """

    rule: str
    severity: Severity
    rows: np.ndarray
    other: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        rule: Name of the check.
        severity: What a failure means.
        failed: Rows that break it; for a check of the whole table 1 or 0.
        total: Rows looked at.
        passed: Whether it holds.
        detail: Found against required, as a sentence.
        sample: A few of the broken rows.
    """

    rule: str
    severity: Severity
    failed: int
    total: int
    passed: bool
    detail: str
    sample: list[dict[str, Any]]

    @classmethod
    def of_rows(
        cls, rule: str, severity: Severity, *, failed: int, total: int, sample: list[dict[str, Any]]
    ) -> Finding:
        """Return the finding of a rule that each row keeps or breaks."""
        kept = f"all {total:,} rows keep it" if total else "no rows"
        detail = f"{failed:,} of {total:,} rows break it" if failed else kept
        return cls(rule, severity, failed, total, failed == 0, detail, sample)

    @classmethod
    def of_broken(cls, broken: Broken, rows: pa.Table) -> Finding:
        """Return the finding of a row rule, with a few of the rows that break it."""
        few = [rows.slice(int(number), 1).to_pylist()[0] for number in broken.rows[:SAMPLE_ROWS]]
        finding = cls.of_rows(broken.rule, broken.severity, failed=len(broken.rows), total=rows.num_rows, sample=few)
        if not broken.other:
            return finding
        return replace(finding, passed=False, detail="; ".join([finding.detail, *broken.other]))

    @classmethod
    def of_table(cls, rule: str, severity: Severity, *, passed: bool, total: int, detail: str) -> Finding:
        """Return the finding of a check of the table as a whole."""
        return cls(rule, severity, int(not passed), total, passed, detail, [])
