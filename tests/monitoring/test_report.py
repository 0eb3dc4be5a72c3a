from html.parser import HTMLParser

import numpy as np
import pyarrow as pa

from mlops_assets.monitoring.report import render_report

KINDS = {
    "x": "numeric",
    "constant": "numeric",
    "empty": "numeric",
    "gone": "numeric",
    "c": "categorical",
    "k": "categorical",
}


def rows(seed, **columns):
    rng = np.random.default_rng(seed)
    size = 300
    return pa.table(
        {
            "x": np.where(rng.random(size) < 0.1, np.inf, rng.normal(size=size)),
            "constant": np.ones(size),
            "c": rng.choice(["a", "b"], size),
            "k": ["only"] * size,
            **columns,
        }
    )


def test_null_constant_new_and_vanished_columns_still_give_a_page():
    page = render_report(
        rows(0, empty=pa.nulls(300, pa.float64()), gone=np.ones(300)), rows(1, empty=np.ones(300)), KINDS, seed=0
    ).decode()
    HTMLParser().feed(page)
    assert "</html>" in page
    assert all(name in page for name in ("constant", '"x"'))
    assert '"empty"' not in page


def test_nothing_to_compare_is_a_page_that_says_so():
    page = render_report(pa.table({"x": [1.0]}), pa.table({"y": [1.0]}), KINDS, seed=0)
    assert b"nothing to compare" in page
