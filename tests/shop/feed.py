"""The shop's dlt source: orders from the Parquet file that `SHOP_ORDERS` names."""

import os

import dlt
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dlt.source(name="shop")
def shop(start, end):
    """Return the resource `orders` with the rows of `[start, end)`."""

    @dlt.resource(name="orders")
    def orders():
        table = pq.read_table(os.environ["SHOP_ORDERS"])
        inside = pc.and_(pc.greater_equal(table["ordered_at"], start), pc.less(table["ordered_at"], end))
        yield table.filter(inside)

    return orders
