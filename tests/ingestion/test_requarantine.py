"""Rows released from quarantine: nothing lost, nothing doubled, whatever was published since."""

from datetime import timedelta
from typing import Any

import pytest
from ingestion.ledger import FILE, NOW, Ledger, day, ledger_spec, row

from mlops_assets.contract.partitions import UnknownWindow
from mlops_assets.contract.verdict import WindowNotPublished, read_verdict
from mlops_assets.ingestion.ingest import WindowsMismatch
from mlops_assets.ingestion.quality_page import quality_page
from mlops_assets.lake.tables import read, snapshot
from mlops_assets.lake.uris import local_path

STRICT: dict[str, Any] = {"rules": [{"name": "positive", "sql": "balance >= 0"}]}
LOOSE: dict[str, Any] = {"rules": [{"name": "positive", "sql": "balance >= -10"}]}
MODES = ["replace", "append", "history", "upsert"]


@pytest.fixture(autouse=True)
def _own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, "")


@pytest.fixture
def ledger(tmp_path):
    return lambda source, publish, **table: Ledger(tmp_path, ledger_spec(source, publish, **{**STRICT, **table}))


@pytest.mark.parametrize("publish", MODES)
def test_rows_that_pass_by_now_are_published_and_the_others_stay(ledger, publish):
    one = ledger("whole", publish)
    one.load(row(1, 1), row(2, 2, -1.0), row(3, 3, -99.0))
    (told,) = one.requarantine(ledger_spec("whole", publish, **LOOSE))
    assert one.published == [row(1, 1), row(2, 2, -1.0)]
    assert one.aside == [row(3, 3, -99.0)]
    assert (told.released, told.added, told.kept, told.broken) == (1, 1, 1, {"positive": 1})
    assert (told.version, told.total_rows) == (snapshot(one.uri).version, 2)


def test_the_quality_page_tells_what_a_release_left(ledger):
    one = ledger("whole", "replace")
    one.load(row(1, 1), row(2, 2, -1.0))
    page = local_path(quality_page(one.lake, one.spec, next(iter(one.spec.tables))))
    assert "! rows set aside" in page.read_text()
    one.requarantine(ledger_spec("whole", "replace", **LOOSE))
    assert "! rows set aside" not in page.read_text()


@pytest.mark.parametrize("publish", MODES)
def test_a_second_release_has_nothing_to_do(ledger, publish):
    one, loose = ledger("whole", publish), ledger_spec("whole", publish, **LOOSE)
    one.load(row(1, 1), row(2, 2, -1.0))
    one.requarantine(loose)
    version = snapshot(one.uri).version
    assert [told.released for told in one.requarantine(loose)] in ([], [0])
    assert snapshot(one.uri).version == version
    assert one.published == [row(1, 1), row(2, 2, -1.0)]


@pytest.mark.parametrize("publish", ["append", "history", "upsert"])
def test_a_row_that_was_mended_at_the_source_is_not_overwritten_by_the_one_in_quarantine(ledger, publish):
    one = ledger("whole", publish)
    one.load(row(1, 1), row(2, 2, -1.0))
    one.load(row(1, 1), row(2, 2, 5.0))
    (told,) = one.requarantine(ledger_spec("whole", publish, **LOOSE))
    assert (told.released, told.broken) == (0, {"unique_key": 1})
    assert one.published == [row(1, 1), row(2, 2, 5.0)]
    assert one.aside == [row(2, 2, -1.0)]


def test_a_correction_that_was_set_aside_becomes_the_next_version(ledger):
    one = ledger("whole", "history")
    one.load(row(1, 1, 1.0))
    one.load(row(1, 1, -1.0), now=NOW + timedelta(hours=1))
    one.requarantine(ledger_spec("whole", "history", **LOOSE))
    assert {(each["balance"], each["revision"]) for each in read(one.uri).to_pylist()} == {(1.0, 0), (-1.0, 1)}
    assert one.aside == []


def test_of_a_row_that_a_load_has_published_meanwhile_nothing_is_added(ledger):
    one, loose = ledger("whole", "append"), ledger_spec("whole", "append", **LOOSE)
    one.load(row(1, 1), row(2, 2, -1.0))
    one.again(spec=loose)
    (told,) = one.requarantine(loose)
    assert (told.released, told.added) == (1, 0)
    assert one.published == [row(1, 1), row(2, 2, -1.0)]
    assert one.aside == []


@pytest.mark.parametrize("publish", ["replace", "append"])
def test_without_a_key_as_many_equal_rows_come_out_as_went_in(ledger, publish):
    one = ledger("whole", publish, key=[])
    one.load(row(1, 1), row(2, 2, -1.0), row(2, 2, -1.0), row(2, 2, -50.0))
    (told,) = one.requarantine(ledger_spec("whole", publish, key=[], **LOOSE))
    assert one.published == [row(1, 1), row(2, 2, -1.0), row(2, 2, -1.0)]
    assert one.aside == [row(2, 2, -50.0)]
    assert told.released == 2


@pytest.mark.parametrize("publish", ["replace", "history"])
def test_one_window_is_released_without_the_others(ledger, publish):
    one = ledger("daily", publish)
    one.load(row(1, 1), row(2, 2, -1.0), row(3, 1500, -2.0), row(4, 1501), windows=(day(1), day(2)))
    loose = ledger_spec("daily", publish, **LOOSE)
    (told,) = one.requarantine(loose, window=day(2).key)
    assert (told.window, told.released, told.total_rows) == (day(2).key, 1, 2)
    assert one.aside == [row(2, 2, -1.0)]
    assert read(one.uri, window=day(2).key)["id"].to_pylist().count(3) == 1
    verdict = read_verdict(one.lake, "ledger", "accounts", day(2).key)
    assert verdict is not None
    assert (verdict["total_rows"], verdict["quarantined_rows"], verdict["version"]) == (2, 0, told.version)
    one.requarantine(loose)
    assert one.aside == []
    assert one.published == [row(1, 1), row(2, 2, -1.0), row(3, 1500, -2.0), row(4, 1501)]


def test_a_load_after_the_release_does_not_bring_the_row_a_second_time(ledger):
    one, loose = ledger("grows", "append", key=[]), ledger_spec("grows", "append", key=[], **LOOSE)
    one.load(row(1, 1), row(2, 2, -1.0))
    one.requarantine(loose)
    one.load(row(1, 1), row(2, 2, -1.0), row(3, 3), spec=loose)
    assert one.published == [row(1, 1), row(2, 2, -1.0), row(3, 3)]


def test_the_rows_of_a_blocked_attempt_are_not_released_for_it_is_loaded_again(ledger):
    blocking = {"rules": [{"name": "positive", "sql": "balance >= 0", "severity": "block"}]}
    one = ledger("grows", "append", key=[], **blocking)
    one.load(row(1, 1))
    one.load(row(1, 1), row(2, 2, -1.0))
    loose = ledger_spec("grows", "append", key=[], **LOOSE)
    assert one.requarantine(loose) == []
    one.again(spec=loose)
    one.requarantine(loose)
    assert one.published == [row(1, 1), row(2, 2, -1.0)]


def test_a_blocked_window_is_not_released(ledger):
    blocking = {"rules": [{"name": "positive", "sql": "balance >= 0", "severity": "block"}]}
    one = ledger("daily", "replace", **blocking)
    one.load(row(1, 1, -1.0), windows=(day(1),))
    with pytest.raises(WindowNotPublished, match="a verdict that blocks it"):
        one.requarantine(ledger_spec("daily", "replace", **LOOSE))


def test_windows_that_do_not_exist_are_refused(ledger):
    one = ledger("daily", "replace")
    one.load(row(1, 1), windows=(day(1),))
    with pytest.raises(WindowNotPublished, match="no verdict"):
        one.requarantine(window="2024-03-09")
    with pytest.raises(WindowsMismatch):
        ledger("whole", "replace").requarantine(window=day(1).key)
    partitions = one.spec.partitions
    assert partitions is not None
    with pytest.raises(UnknownWindow, match="found no window of that name; required the start of a day"):
        partitions.window("2024-03-1")
    assert partitions.window("2024-03-02") == day(2)


def test_a_table_that_never_set_a_row_aside_has_nothing_to_release(ledger):
    assert ledger("whole", "append").requarantine() == []
