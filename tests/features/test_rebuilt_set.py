"""A training set made again from its manifest: the same rows bit for bit, or a refusal that names what is missing."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from features.world import SCHEMA, Shop, definition, many_orders, view, window

from mlops_assets.features.rebuilt_set import DefinitionsChanged, InputsGone, OtherRows, rebuild_training_set
from mlops_assets.features.request import Request
from mlops_assets.features.training_set import Manifest, load, save
from mlops_assets.lake.maintenance import Policy, maintain


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, many_orders(60))


@pytest.fixture
def recorded(shop) -> Manifest:
    """A set over older versions, saved and deleted; the tables hold other rows by now."""
    shop.refresh(view())
    saved = save(shop.build(definition(view()), as_of=15, window_days=9, held=[window(7, 8)]), shop.lake, "returns")
    manifest = load(saved.uri).manifest
    shutil.rmtree(saved.uri)
    rows = [{**row, "amount": row["amount"] + 1, "returned": row["returned"] is False} for row in many_orders(70)]
    shop.publish(pa.Table.from_pylist(rows, SCHEMA))
    shop.refresh(view())
    return manifest


def again(shop: Shop, recorded: Manifest, wanted=None):
    return rebuild_training_set(wanted or definition(view()), recorded, lake=shop.lake)


def test_it_comes_out_the_same_from_the_versions_of_then(shop, recorded):
    now = shop.build(definition(view()), as_of=15, window_days=9, held=[window(7, 8)])
    assert now.manifest.sha256 != recorded.sha256

    built = again(shop, recorded)

    assert (built.manifest.sha256, built.manifest.labels) == (recorded.sha256, recorded.labels)
    assert (built.manifest.sources, built.manifest.views) == (recorded.sources, recorded.views)


@pytest.mark.parametrize(
    "change", [{"window_days": 8.0}, {"held_windows": ()}, {"libraries": {}, "as_of": window(14, 15).start}]
)
def test_every_choice_of_then_counts(shop, recorded, change):
    with pytest.raises(OtherRows, match=recorded.sha256):
        again(shop, replace(recorded, **change))


def test_versions_that_were_vacuumed_are_named(shop, recorded):
    list(maintain(shop.lake, {}, Policy(timedelta(0))))

    with pytest.raises(InputsGone) as error:
        again(shop, recorded)

    version = recorded.sources["shop/orders"]
    assert f"raw/shop/orders version {version} (1 of 1 files, such as " in str(error.value)
    assert f"features/returns version {recorded.views['returns'].version} (1 of 1" in str(error.value)


def test_a_table_that_is_gone_is_named(shop, recorded):
    shutil.rmtree(Path(shop.lake, "raw", "shop", "orders"))
    with pytest.raises(InputsGone, match=r"gone: raw/shop/orders version 1 \(no table\);"):
        again(shop, recorded)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (definition(view(view().sql + " -- otherwise")), "features/returns"),
        (definition(view(), spine_sql=definition().spine_sql + " where amount > 3"), "the spine"),
        (definition(view(), request=Request(("amount",), dict, b"def request_features(c): return c")), "the request"),
        (definition(), "features/returns"),
    ],
)
def test_another_definition_is_named(shop, recorded, wanted, named):
    with pytest.raises(DefinitionsChanged, match=f"another definition of {named}"):
        again(shop, recorded, wanted)


def test_a_manifest_of_the_first_release_is_read(shop):
    saved = save(shop.build(definition()), shop.lake, "returns")
    path = Path(saved.uri, "manifest.json")
    text = path.read_text().replace(
        '"held_windows":[],"window_days":null,"schema_version":2', '"schema_version":1,"held":["x"]'
    )
    path.write_text(text)
    assert load(saved.uri).manifest.schema_version == 1
