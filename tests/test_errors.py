"""Errors keep their words, also on their way between processes."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from mlops_assets.contract.verdict import WindowNotPublished


def refuse() -> None:
    raise WindowNotPublished("shop", "orders", "2024-03-01", blocked_by=["amount_range"])


def test_an_error_of_another_process_arrives_with_its_message_and_fields() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(WindowNotPublished, match="amount_range") as caught:
        pool.submit(refuse).result(timeout=60)

    assert caught.value.required == "a published window"
