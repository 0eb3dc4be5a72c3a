"""A version of the small shop's model: trained, logged and saved as the assets do it."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from features.world import SCHEMA, Shop, at, definition, many_orders, view

from mlops_assets.features.request import Request
from mlops_assets.features.training_set import COPY, SavedTrainingSet, encode_manifest, load, save
from mlops_assets.registry.lifecycle import VersionCard
from mlops_assets.registry.rebuild.rebuild import rebuild
from mlops_assets.registry.rebuild.result import Rebuilt
from mlops_assets.training.candidate import Extras, log_candidate, log_model
from mlops_assets.training.fit import refit, train
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.tracking import Tracking

PRESENT = {
    "commit": "c0ffee",
    "commit_is_dirty": "false",
    "python": "3.11.0",
    "platform": "linux",
    "lock_sha256": "10c",
}
PRESENT |= {"spec_sha256": "5bec"}
SOURCE = b"def request_features(columns):\n    return {'amount': columns['amount']}\n"
REQUEST = Request(("amount",), lambda columns: {"amount": columns["amount"]}, SOURCE)
WANTED = definition(view(), request=REQUEST)
ORDERS = 620


@dataclass(frozen=True)
class Trained:
    """A version, and where everything of it is."""

    shop: Shop
    saved: SavedTrainingSet
    version: VersionCard

    def rebuild(self, wanted: Any = WANTED, **present: str) -> Rebuilt:
        return rebuild(self.version, definition=wanted, present=PRESENT | present, lake=self.shop.lake)

    def say(self, **facts: Any) -> None:
        """Let the saved candidate's manifest say something else, as one of another place or time would."""
        self._change(lambda manifest: manifest["facts"].update(facts))

    def say_libraries(self, **versions: str) -> None:
        self._change(lambda manifest: manifest["libraries"].update(versions))

    def _change(self, change: Any) -> None:
        path = Path(self.version.artifact_uri).parent / "candidate" / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))


def new_shop(folder: Path) -> Shop:
    """Return a shop whose larger orders come back more often."""
    rng = np.random.default_rng(0)
    rows = [
        {**row, "amount": float(a), "returned": None if row["returned"] is None else bool(rng.random() < a)}
        for row, a in zip(many_orders(ORDERS), np.round(rng.random(ORDERS), 3), strict=True)
    ]
    shop = Shop.of(folder, [])
    shop.publish(pa.Table.from_pylist(rows, SCHEMA))
    shop.refresh(view())
    return shop


def train_version(shop: Shop, tracking: Tracking, *, with_refit: bool = False, **spec: Any) -> Trained:
    built = shop.build(WANTED, as_of=ORDERS / 3)
    saved = save(built, shop.lake, "returns")
    training = TrainingSpec.model_validate({"params": {"n_estimators": 40}, **spec})
    table = load(saved.uri, data=training.data).table
    with tracking.run("returns", tags={}) as run:
        fitted = train(
            table,
            task="binary",
            features=built.manifest.features,
            request_inputs=("amount",),
            split_spec=SplitSpec(validation_days=40, test_days=40),
            spec=training,
            label_delay=timedelta(days=3),
        )
        facts = {"training_set": saved.sha256, "training_set_uri": saved.uri, **PRESENT}
        run.log_bytes(COPY, encode_manifest(built.manifest))
        extras = Extras(facts, SOURCE, None)
        logged = log_candidate(run, fitted, table, extras=extras)
        uri = logged.artifact_uri
        if with_refit:
            pipeline = refit(table, fitted.recipe, signature=fitted.signature, candidate=fitted.pipeline)
            facts |= {"candidate_id": run.run_id, "recipe": asdict(fitted.recipe)}
            uri = log_model(
                run, "refit", pipeline, table, signature=fitted.signature, extras=replace(extras, facts=facts)
            )
    return Trained(shop, saved, VersionCard("returns", 1, run.run_id, run.run_id, uri, logged.sha256, at(0)))


def booster_hash(uri: str) -> str:
    return sha256(Path(uri, "booster.ubj").read_bytes()).hexdigest()
