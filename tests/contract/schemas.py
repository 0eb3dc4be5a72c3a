"""Pandera schemas that contracts of tests name."""

import pandera.pandas as pa

ORDERS = pa.DataFrameSchema(
    {
        "order_id": pa.Column(int, pa.Check.le(100)),
        "amount": pa.Column(float, pa.Check.ge(0), nullable=True),
        "city": pa.Column(str, nullable=True),
    },
    checks=[pa.Check(lambda rows: rows["city"].isna() | (rows["amount"] < 50), name="far_is_cheap")],
)
FEW = pa.DataFrameSchema({}, checks=[pa.Check(lambda rows: len(rows) < 3, name="few")])
ABSENT = pa.DataFrameSchema({"paid": pa.Column(float)})
WHOLE = pa.DataFrameSchema({"amount": pa.Column(int)})
BROKEN = pa.DataFrameSchema({}, parsers=[pa.Parser(lambda rows: rows["nope"])])
BIG = pa.DataFrameSchema({"big": pa.Column(int, pa.Check.ge(2**53 + 1), nullable=True)})
NO_SCHEMA = {"amount": float}


class Orders(pa.DataFrameModel):
    amount: float = pa.Field(ge=0, nullable=True)
