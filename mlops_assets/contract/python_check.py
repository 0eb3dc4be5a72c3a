"""A pandera schema over the staged rows: the one rule that is Python."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.findings import Broken
from mlops_assets.contract.scan import RuleDoesNotRun
from mlops_assets.errors import MlopsError
from mlops_assets.settings import keep_time_zones

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.contract.rules import PythonCheck

REQUIRED = "an importable pandera DataFrameSchema or DataFrameModel"


class PanderaMissing(MlopsError):
    """A contract has a pandera schema, and pandera is not installed."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"{table}, `python:` check",
            found="no pandera in this environment",
            required="pandera",
            remedy='Nothing was published. Run `pip install "mlops-assets[pandera]"`, then materialise again.',
        )


def python_broken(rows: pa.Table, check: PythonCheck, *, name: str) -> Broken:
    """Judge all rows by a pandera schema at once.

    Whole numbers and booleans arrive in pandas' nullable types, so that a null does not turn them into floats.

    Raises:
        PanderaMissing: pandera is not installed.
        RuleDoesNotRun: The schema cannot be imported, or raises an error of its own.
    """
    import numpy as np

    schema = _schema(check, name)
    from pandera.errors import SchemaErrors

    try:
        schema.validate(_frame(rows), lazy=True)
    except SchemaErrors as errors:
        return _sorted_out(check, errors.failure_cases)
    except Exception as error:
        raise _does_not_run(check, name, error) from error
    return Broken(check.name, check.severity, np.empty(0, dtype=np.int64))


def _schema(check: PythonCheck, name: str) -> Any:
    keep_time_zones()
    try:
        import pandera.pandas as pandera
    except ImportError as error:
        raise PanderaMissing(name) from error
    module, _, attribute = check.schema_.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise _does_not_run(check, name, error) from error
    if isinstance(found, type) and issubclass(found, pandera.DataFrameModel):
        return found.to_schema()
    if not isinstance(found, pandera.DataFrameSchema):
        raise RuleDoesNotRun(name, check.name, check.schema_, f"a {type(found).__name__}", REQUIRED)
    return found


def _frame(rows: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable: dict[pa.DataType, Any] = {
        pa.bool_(): pd.BooleanDtype(),
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }
    return rows.to_pandas(types_mapper=nullable.get)


def _sorted_out(check: PythonCheck, failures: pd.DataFrame) -> Broken:
    """Take pandera's failures, which name rows by their number; those of a whole column or frame name none."""
    import numpy as np

    found: Any = failures
    of_rows = found["index"].notna()
    rows = np.unique(found.loc[of_rows, "index"].to_numpy(dtype=np.int64))
    other = [f"{one.column or 'table'}: {one.check} ({one.failure_case})" for one in found[~of_rows].itertuples()]
    return Broken(check.name, check.severity, rows, other=tuple(dict.fromkeys(other)))


def _does_not_run(check: PythonCheck, name: str, error: Exception) -> RuleDoesNotRun:
    return RuleDoesNotRun(name, check.name, check.schema_, f"{type(error).__name__}: {error}", REQUIRED)
