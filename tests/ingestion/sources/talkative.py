"""Loads sources with every logger at DEBUG, and prints what each says and how it fails: run by `test_secrets.py`.

Arguments: a JSON file with the specs by name, and a folder to work in.
"""
# ruff: noqa: T201 - what it prints is what the test reads

import json
import logging
import sys
import traceback
from pathlib import Path

from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.ingestion.staging import stage


def main(specs: Path, folder: Path) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for name, described in json.loads(specs.read_text()).items():
        spec = IngestionSpec.model_validate(described)
        print(name, spec.model_dump_json(), repr(spec))
        try:
            staged = stage(spec, list(spec.tables), window=None, folder=folder / name)
            print(name, "loaded", {table: rows.num_rows for table, rows in staged.tables.items()}, staged)
        except Exception:  # noqa: BLE001  the whole chain is what Dagster shows
            print(name, "failed", traceback.format_exc())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
