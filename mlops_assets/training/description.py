"""What a run says of its model besides numbers and pictures: what goes in and comes out, an example, the environment."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from mlops_assets.training.provenance import installed

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.predictor.signature import Signature

SIGNATURE, EXAMPLE, ENVIRONMENT = "signature.json", "input_example.json", "environment.json"
EXAMPLE_ROWS = 5
MLFLOW_TYPES = {"numeric": "double", "categorical": "string"}


def description(signature: Signature, rows: pa.Table) -> dict[str, bytes]:
    """Return files by name. Signature and example are in MLflow's forms; its own way to write them scores the example.

    Args:
        rows: Some with every feature; the first ones are the example.
    """
    outputs = signature.classes or (("probability",) if signature.task == "binary" else ("value",))
    columns = [
        {"name": name, "type": MLFLOW_TYPES[kind], "required": False} for name, kind in signature.features.items()
    ]
    made = [{"name": name, "type": "double", "required": True} for name in outputs]
    example = rows.slice(0, EXAMPLE_ROWS).select(list(signature.features)).to_pydict()
    environment = {"python": platform.python_version(), "platform": platform.platform(), "packages": installed()}
    return {
        SIGNATURE: _json({"inputs": json.dumps(columns), "outputs": json.dumps(made), "params": None}),
        EXAMPLE: _json({"columns": list(example), "data": [list(row) for row in zip(*example.values(), strict=True)]}),
        ENVIRONMENT: _json(environment),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, default=str).encode()
