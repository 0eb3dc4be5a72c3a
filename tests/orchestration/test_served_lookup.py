"""A trained version knows what a server looks up for it: entities and inputs are scored as the whole vector would be."""

import numpy as np
import pyarrow as pa
import pytest
from shop.deployment import Shop

from mlops_assets.components.catalog import read_catalog
from mlops_assets.features.definition import View
from mlops_assets.features.online.plan import from_json
from mlops_assets.features.online.schema import view_schema
from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import read, snapshot
from mlops_assets.predictor.artifact import load
from mlops_assets.rollout.routing import read_routing
from mlops_assets.serving.online import open_guarded
from mlops_assets.serving.scoring import ArmLoader
from mlops_assets.settings import load_settings

FOR_EVER = 1e18


def newest_of(shop: Shop, customer: str) -> float:
    """Return the newest mean amount that the offline table has of a customer, by a look at all of its rows."""
    rows = read(f"{shop.lake}/features/customer").to_pylist()
    own = [row for row in rows if row["customer"] == customer and row["known_at"] <= shop.replay.clock.now()]
    return max(own, key=lambda row: (row["event_timestamp"], row["known_at"]))["mean_amount"]


@pytest.mark.slow
def test_a_trained_version_scores_entities_as_it_scores_their_vectors(shop: Shop) -> None:
    view, model = shop.defs / "customer" / "defs.yaml", shop.defs / "returns" / "defs.yaml"
    view.write_text(view.read_text() + "  online: true\n")
    model.write_text(model.read_text() + "  serving:\n    fallback: {mean_amount: 20.0}\n")
    shop.reload()
    shop.deploy()
    stored = read_routing(open_state(shop.lake), "returns")
    assert stored is not None
    route, settings, clock = stored[0].champion, load_settings(), shop.replay.clock
    predictor, spec = load(route.artifact_uri), read_catalog(shop.defs).view("customer").spec

    plan = from_json(predictor.manifest.lookup)
    schema = view_schema(View(spec, spec.sql.strip()), snapshot(f"{shop.lake}/features/customer").schema)
    assert (plan.views, plan.features) == ((schema,), ("customer:mean_amount",))
    assert plan.columns == {"customer": "string", "order_id": "int64"}
    assert plan.fallback == {"mean_amount": 20.0}
    assert predictor.manifest.input_kinds == {"amount": "numeric", "channel": "categorical"}

    rows = [
        {"customer": f"c{number}", "amount": 10.0 * number, "channel": ["web", "shop", None][number % 3]}
        for number in range(1, 30)
    ]
    scored = ArmLoader(open_guarded(settings.online, env=settings.env, timeout_s=1), clock)(route).score(
        rows, until=FOR_EVER
    )

    vectors = {
        "mean_amount": [newest_of(shop, row["customer"]) for row in rows],
        **{name: [row[name] for row in rows] for name in ("amount", "channel")},
    }
    assert ({name: list(values) for name, values in scored.features.items()}, scored.defaulted) == (vectors, ())
    np.testing.assert_allclose(scored.predictions, predictor.predict(pa.table(vectors)), atol=1e-6)
    alone = ArmLoader(None, clock)(route).score(rows[:1], until=FOR_EVER)
    assert (alone.features["mean_amount"], alone.defaulted) == ([20.0], ("mean_amount",))
