"""What one check of a contract found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.contract.names import Severity

SAMPLE_ROWS = 5


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
        detail = f"{failed:,} of {total:,} rows break it" if failed else f"all {total:,} rows keep it"
        return cls(rule, severity, failed, total, failed == 0, detail, sample)

    @classmethod
    def of_table(cls, rule: str, severity: Severity, *, passed: bool, total: int, detail: str) -> Finding:
        """Return the finding of a check of the table as a whole."""
        return cls(rule, severity, int(not passed), total, passed, detail, [])
