"""Bodies as rows: every shape gives the same rows, typed by the model's columns; what is wrong is named by line and column."""

import csv
import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.body import read_rows
from mlops_assets.serving.csv_body import read_csv
from mlops_assets.serving.http_problems import TooManyRows
from mlops_assets.serving.problems import NotCsv, NotJson, Problem, UnknownColumn, WrongShape, WrongValue

COLUMNS = {"n": "numeric", "text": "categorical", "item": "integer", "key": "any"}
JSON = "application/json"


def sent(row, content_type=JSON):
    body = json.dumps({"instances": [row]}) if content_type == JSON else row
    return read_rows(body.encode(), content_type, COLUMNS)[0]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, '{"dataframe_records": [{"n": 1.5, "text": "a,b"}, {"n": null, "text": null}]}'),
        (JSON, '{"instances": [{"n": 1.5, "text": "a,b"}, {"n": null, "text": null}]}'),
        (JSON, '{"dataframe_split": {"columns": ["n", "text"], "data": [[1.5, "a,b"], [null, null]]}}'),
        ("text/csv", 'n,text\n1.5,"a,b"\n,\n'),
        ("text/csv; charset=utf-8", 'n,text\r\n1.5,"a,b"\r\n,\r\n'),
        ("Text/CSV", '\ufeff"n","text"\n1.5,"a,b"\n\n"",""'),
    ],
)
def test_every_shape_gives_the_same_rows(content_type, body):
    assert read_rows(body.encode(), content_type, COLUMNS) == [{"n": 1.5, "text": "a,b"}, {"n": None, "text": None}]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("1", {"n": 1}),
        ("-2.5e3", {"n": -2500}),
        ("TRUE", {"n": True}),
        ("false", {"n": False}),
        ("1e30", {"n": 10**30}),
    ],
)
def test_a_numeric_cell_is_the_number_that_json_would_have(cells, expected):
    assert sent(f"n\n{cells}", "text/csv") == {"n": pytest.approx(expected["n"])}


def test_cells_of_other_columns_keep_what_they_are():
    assert sent("text,item,key\n007,7,7", "text/csv") == {"text": "007", "item": 7, "key": 7}
    assert sent("key\n007", "text/csv") == {"key": "007"}
    assert sent("key\nN12", "text/csv") == {"key": "N12"}
    assert read_rows(b"anything\n1", "text/csv") == [{"anything": "1"}], "without a model all of it is text"


@pytest.mark.parametrize(
    ("body", "error", "field", "found"),
    [
        (b"", WrongShape, "line 1", "no line"),
        (b"n,n\n1,2", WrongShape, "line 1", "n twice"),
        (b"n,text\n1,a\n2", WrongShape, "line 3", "1 cells"),
        (b'n,text\n1,"two\nlines"\n2,b,c', WrongShape, "line 4", "3 cells"),
        (b"n\n1\ntwo", WrongValue, "n", "'two' in line 3"),
        (b"n\n1_0", WrongValue, "n", "'1_0' in line 2"),
        (b"n\nnan", WrongValue, "n", "'nan' in line 2"),
        (b"n\n1e400", WrongValue, "n", "'1e400' in line 2"),
        ("n\n\u0661".encode(), WrongValue, "n", "in line 2"),
        (b"item\n1.5", WrongValue, "item", "'1.5' in line 2"),
        (b"item\n9223372036854775808", WrongValue, "item", "'9223372036854775808' in line 2"),
        (b"item\n" + b"9" * 5000, WrongValue, "item", "in line 2"),
        (b"other\n1", UnknownColumn, "other", "column other"),
        (b'n\n"1', NotCsv, "line 2", "unexpected end of data"),
        (b"n\n\xff", NotCsv, "body", "byte 2 is no UTF-8"),
    ],
)
def test_a_wrong_csv_is_refused_with_line_and_column(body, error, field, found):
    with pytest.raises(error) as caught:
        read_rows(body, "text/csv", COLUMNS)

    assert caught.value.field == field
    assert found in caught.value.found
    assert caught.value.status == (400 if error is NotCsv else 422)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"instances": [{"n": NaN}]}', NotJson),
        ('{"instances": [{"n": 1e400}]}', Problem),
        ('{"instances": [{"n": "1"}]}', WrongValue),
        ('{"instances": [{"text": 1}]}', WrongValue),
        ('{"instances": [{"text": true}]}', WrongValue),
        ('{"instances": [{"item": 1.5}]}', WrongValue),
        ('{"instances": [{"item": true}]}', WrongValue),
        ('{"instances": [{"item": "1"}]}', WrongValue),
        ('{"instances": [{"n": 1}, {"other": 1}]}', UnknownColumn),
        ('{"instances": [{"n": 1' + "0" * 400 + "}]}", WrongValue),
    ],
)
def test_json_is_read_strictly(body, error):
    with pytest.raises(error) as caught:
        read_rows(body.encode(), JSON, COLUMNS)

    assert caught.value.status in (400, 422)


def test_the_row_of_a_wrong_value_is_named():
    with pytest.raises(WrongValue, match="'x' in row 2"):
        read_rows(b'{"instances": [{}, {"n": 1}, {"n": "x"}]}', JSON, COLUMNS)


@pytest.mark.parametrize(
    ("given_row", "expected"),
    [
        ({"item": 7.0}, {"item": 7}),
        ({"n": True, "text": None}, {"n": True, "text": None}),
        ({"n": 10**30}, {"n": 1e30}),
        ({"event_id": "e1", "inference_id": "i1"}, {"event_id": "e1", "inference_id": "i1"}),
    ],
)
def test_what_json_may_say(given_row, expected):
    assert sent(given_row) == expected
    assert [type(value) for value in sent(given_row).values()] == [type(value) for value in expected.values()]


CELLS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)


@given(st.lists(st.tuples(CELLS, st.none() | st.floats(-1e30, 1e30)), min_size=1, max_size=5))
def test_csv_written_by_python_is_read_as_json_is(rows):
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["text", "n"])
    writer.writerows([[text, None if number is None else repr(number)] for text, number in rows])
    records = [{"text": text, "n": number} for text, number in rows]

    by_json = read_rows(json.dumps({"instances": records}).encode(), JSON, COLUMNS)

    assert read_rows(file.getvalue().encode(), "text/csv", COLUMNS) == by_json


@pytest.mark.parametrize("number", [0, 7, 2**63 - 1, 2**63, 10**25])
def test_a_whole_number_is_the_same_in_csv_and_json_whatever_its_size(number):
    row = sent({"key": number})

    assert sent(f"key\n{number}", "text/csv") == row
    assert type(sent(f"key\n{number}", "text/csv")["key"]) is type(row["key"])


def test_csv_is_read_no_further_than_so_many_rows():
    assert len(read_csv(b"n\n1\n2\n3\n", COLUMNS, most=3)) == 3
    with pytest.raises(TooManyRows) as caught:
        read_csv(b"n\n1\n2\n3\n4\nno number that is read", COLUMNS, most=3)
    assert (caught.value.status, caught.value.found) == (413, "at least 4 rows")


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused(data):
    for content_type in (JSON, "text/csv"):
        with suppress(Problem):
            read_rows(data, content_type, COLUMNS)
