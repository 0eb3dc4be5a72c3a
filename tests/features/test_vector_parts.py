"""The vectors of a window part by part are the vectors of the window."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from features.world import Shop, definition, many_orders, view, window

from mlops_assets.features import vectors
from mlops_assets.features.request import Request
from mlops_assets.features.vectors import window_vector_parts, window_vectors

ALL = window(0, 30)


def doubled(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"double": columns["amount"] * 2}


@pytest.mark.parametrize("rows", [1, 7, 10_000])
def test_parts_of_any_size_make_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    wanted = definition(view(), request=Request(("amount",), doubled, b"2"))
    shop = Shop.of(tmp_path, many_orders())
    shop.refresh(*wanted.views)
    week = window(10, 17)
    whole = window_vectors(wanted, lake=shop.lake, window=week)
    monkeypatch.setattr(vectors, "PART_ROWS", rows)

    parts = list(window_vector_parts(wanted, lake=shop.lake, window=week))

    assert whole.num_rows > 7
    assert len(parts) == -(-whole.num_rows // rows)
    assert pa.concat_tables(parts).equals(whole)


def test_a_window_without_rows_is_one_part_with_the_columns(tmp_path: Path) -> None:
    wanted = definition(view())
    shop = Shop.of(tmp_path, many_orders())
    shop.refresh(*wanted.views)

    (part,) = window_vector_parts(wanted, lake=shop.lake, window=window(1000, 1007))

    assert part.num_rows == 0
    assert part.schema == window_vectors(wanted, lake=shop.lake, window=ALL).schema
