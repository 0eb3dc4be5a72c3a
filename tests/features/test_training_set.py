"""What is in a training set, and how it is kept."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from features.world import Shop, at, definition, many_orders, order, view, window

from mlops_assets.features.request import Request
from mlops_assets.features.spine import DuplicateSpineKeys
from mlops_assets.features.training_set import CorruptTrainingSet, NoLabelledRows, load, save
from mlops_assets.features.vectors import ColumnTwice, StaleView


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, many_orders())


def test_rows_features_and_labels_are_those_of_a_loop(shop):
    shop.refresh(view())

    built = shop.build(definition(view()), as_of=15, window_days=9, held=[window(7, 8)])

    closed = [one for one in many_orders() if one["closed_at"]]
    expected = []
    for one in many_orders():
        time = one["ordered_at"]
        if not at(3) <= time < at(12) or at(7) <= time < at(8) or not one["closed_at"]:
            continue
        known = [o["returned"] for o in closed if o["customer"] == one["customer"] and o["closed_at"] <= time]
        share = sum(known) / len(known) if known else None
        expected.append((one["order_id"], one["amount"], float(one["returned"]), share))
    rows = built.table.to_pylist()
    assert [(r["order_id"], r["amount"], r["label"]) for r in rows] == [row[:3] for row in expected]
    assert [r["return_share"] for r in rows] == pytest.approx([row[3] for row in expected], nan_ok=True)
    assert len(expected) > 15
    # Orders 10 and 32 never close; order 21 does not either, but it is held.
    counts = built.manifest.labels
    assert (counts.labelled, counts.pending, counts.held, counts.censored) == (len(expected), 9, 3, 2)


def test_the_manifest_says_where_the_rows_came_from(shop):
    (refreshed,) = shop.refresh(view())
    source = b"def request_features(columns):\n    return {'double': columns['amount'] * 2}\n"
    request = Request(("amount",), lambda columns: {"double": columns["amount"] * 2}, source)
    wanted = definition(view(), request=request)

    manifest = shop.build(wanted, held=[window(7, 8)]).manifest

    assert manifest.as_of == at(30)
    assert manifest.rows == manifest.labels.labelled
    assert manifest.features == {"return_share": "numeric", "double": "numeric"}
    assert manifest.sources == {"shop/orders": refreshed.source_versions["shop/orders"]}
    assert manifest.views["returns"].version == refreshed.version
    assert manifest.views["returns"].definition == view().definition
    assert manifest.views["returns"].sources == refreshed.source_versions
    assert manifest.spine_definition == wanted.spine_definition
    assert manifest.request_sha256 == request.sha256
    assert manifest.held_windows == (window(7, 8),)
    assert manifest.libraries["pyarrow"] == pa.__version__


def test_a_text_feature_is_categorical(shop):
    built = shop.build(definition(request=Request(("customer", "amount"))))

    assert built.manifest.features == {"customer": "categorical", "amount": "numeric"}


def test_the_same_inputs_give_one_identity_and_are_kept_once(shop):
    shop.refresh(view())

    saved = [save(shop.build(definition(view())), shop.lake, "returns") for _ in range(5)]

    assert len(set(saved)) == 1
    (folder,) = Path(shop.lake, "training_sets", "returns").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["data.parquet", "manifest.json"]


def test_another_row_or_another_choice_of_features_is_another_set(shop):
    fewer = save(shop.build(definition(), as_of=20), shop.lake, "returns")
    base = save(shop.build(definition()), shop.lake, "returns")
    # `customer` is in the spine either way: the rows are the same, what is learned from them is not.
    keys = ("customer", "amount", "order_id")
    one = shop.build(definition(keys=keys, request=Request(("amount",))))
    both = shop.build(definition(keys=keys, request=Request(("customer", "amount"))))

    assert one.table.equals(both.table)
    saved = [save(each, shop.lake, "returns") for each in (one, both)]
    assert len({each.uri for each in (fewer, base, *saved)}) == 4
    assert list(load(saved[1].uri).manifest.features) == ["customer", "amount"]


def test_what_is_saved_is_read_back_and_only_its_manifest_is_renewed(shop):
    shop.refresh(view())
    built = shop.build(definition(view()))
    saved = save(built, shop.lake, "returns")
    data, manifest = (Path(saved.uri, name) for name in ("data.parquet", "manifest.json"))
    before, said = data.stat().st_mtime_ns, manifest.read_bytes()
    os.utime(manifest, (0, 0))

    again = save(shop.build(definition(view())), shop.lake, "returns")

    read = load(saved.uri)
    assert (again, saved.sha256) == (saved, read.manifest.sha256)
    assert read.table.equals(built.table)
    assert read.manifest == built.manifest
    assert (data.stat().st_mtime_ns, manifest.read_bytes()) == (before, said)
    assert manifest.stat().st_mtime > 0


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def remove_data(folder: Path) -> None:
    (folder / "data.parquet").unlink()


def cut_short(folder: Path) -> None:
    file = folder / "data.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def flip_bytes(folder: Path) -> None:
    file = folder / "data.parquet"
    data = bytearray(file.read_bytes())
    data[60:80] = bytes(byte ^ 255 for byte in data[60:80])
    file.write_bytes(data)


def change_a_value(folder: Path) -> None:
    table = pq.read_table(folder / "data.parquet")
    amounts = [0.5, *table["amount"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", [amounts]), folder / "data.parquet")


def change_the_features(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"]["customer"] = "categorical"
    (folder / "manifest.json").write_text(json.dumps(manifest))


def break_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


@pytest.mark.parametrize(
    "damage",
    [remove_manifest, remove_data, cut_short, flip_bytes, change_a_value, change_the_features, break_the_manifest],
)
def test_a_damaged_set_is_refused_and_made_good_by_saving_again(shop, damage):
    built = shop.build(definition())
    saved = save(built, shop.lake, "returns")
    damage(Path(saved.uri))

    with pytest.raises(CorruptTrainingSet, match="Materialise `training_set` again"):
        load(saved.uri)

    assert save(built, shop.lake, "returns") == saved
    assert load(saved.uri).table.equals(built.table)


def test_without_a_single_label_the_counts_say_why(tmp_path):
    shop = Shop.of(tmp_path, [order(1, 1, closed=None), order(2, 1, closed=None), order(3, 28, closed=1)])

    with pytest.raises(NoLabelledRows, match=r"no labelled row \(2 censored, 1 pending, 0 held\)"):
        shop.build(definition())


def test_repeated_keys_are_refused_by_name(tmp_path):
    shop = Shop.of(tmp_path, [order(1, 1, closed=1), order(7, 1, closed=1), order(7, 2, closed=1)])

    with pytest.raises(DuplicateSpineKeys, match="order_id=7, rows found=2"):
        shop.build(definition())


def test_a_view_of_an_older_definition_is_refused(shop):
    shop.refresh(view())
    changed = view(f"{view().sql} -- and now?")

    with pytest.raises(StaleView, match="Materialise `features/returns`"):
        shop.build(definition(changed))


def test_a_change_of_prose_does_not_make_a_view_stale(shop):
    shop.refresh(view())

    assert shop.build(definition(view(description="Said better."))).manifest.rows


@pytest.mark.parametrize(
    ("views", "name"),
    [
        ([view(), view(name="again")], "return_share"),
        ([view(view().sql.replace("return_share", "amount"), feature="amount")], "amount"),
    ],
)
def test_two_columns_of_one_name_are_refused(shop, views, name):
    shop.refresh(*views)

    with pytest.raises(ColumnTwice, match=f"feature {name}"):
        shop.build(definition(*views))


def test_a_request_feature_may_not_take_the_name_of_the_label(shop):
    request = Request(("amount",), lambda columns: {"label": columns["amount"]}, b"")

    with pytest.raises(ColumnTwice, match="request feature label"):
        shop.build(definition(request=request))
