"""Labels that name classes are text from the spine on, whatever type the query gives them."""

from dataclasses import replace

import pytest
from features.world import SPINE_SQL, Shop, definition, many_orders, view

from mlops_assets.features.query import QueryFailed
from mlops_assets.features.warehouse import warehouse_query


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("returned", {"true", "false"}),
        ("returned::int", {"0", "1"}),
        ("case when returned then 'back' else 'kept' end", {"back", "kept"}),
    ],
)
def test_labels_of_any_type_become_text(tmp_path, label, names):
    shop = Shop.of(tmp_path, many_orders())
    shop.refresh(view())
    wanted = definition(view(), spine_sql=SPINE_SQL.replace("returned::int", label))

    table = shop.build(replace(wanted, label_type="varchar")).table

    assert set(table["label"].to_pylist()) == names
    assert 'CAST("label" AS STRING)' in warehouse_query(replace(wanted, label_type="varchar"), "spark").replace(
        "`", '"'
    )


def test_text_is_no_label_of_a_number(tmp_path):
    shop = Shop.of(tmp_path, many_orders())
    shop.refresh(view())
    with pytest.raises(QueryFailed, match="Could not convert string"):
        shop.build(definition(view(), spine_sql=SPINE_SQL.replace("returned::int", "'kept'")))
