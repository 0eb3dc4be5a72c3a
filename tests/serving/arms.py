"""Two versions of a model behind one server: the champion answers 1, the challenger 2, and 20 for each `half`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mlops_assets.lake.state import StateStore
from mlops_assets.rollout import machine
from mlops_assets.rollout.routing import Route, Routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Traffic
from mlops_assets.rollout.traffic import change_routing
from tests.serving.conftest import REQUEST, save_model

NOW = datetime(2013, 4, 1, tzinfo=UTC)
SALT = "churn-2-1"
COMPUTE = b"def request_features(columns):"
RAISES = REQUEST.replace(COMPUTE, COMPUTE + b"\n    if (columns['half'] == 7).any(): raise OSError('disk gone')")
OVERFLOWS = REQUEST.replace(b'columns["half"] * 2', b'np.where(columns["half"] == 7, 1.7e308, columns["half"] * 2)')
SLEEPS = REQUEST.replace(COMPUTE, COMPUTE + b"\n    import time; time.sleep(2 * (columns['half'] == 7).any())")


@cache
def saved(version: int, request: bytes) -> str:
    """Save a version once in a run of the tests; nobody changes it."""
    return str(save_model(Path(mkdtemp(prefix="mlops-churn-")) / str(version), intercept=version, request=request))


def route_both(state: StateStore, *, challenger: bytes = REQUEST, champion: bytes = REQUEST, **traffic: Any) -> Routing:
    """Save version 1 and 2 of `churn`, and let a rollout of 2 begin with the traffic as given."""
    routes = [
        Route(version, f"run{version}", saved(version, request))
        for version, request in ((1, champion), (2, challenger))
    ]
    spec = RolloutSpec.model_validate({"steps": [50, 100]})
    rollout = machine.begin("churn", *routes, spec, number=1, now=NOW, why="test", who="")
    asked: dict[str, Any] = {"share": 1.0, "salt": SALT, "label": f"{SALT}/0"} | traffic
    first = Routing("churn", routes[0], None, (), Traffic(routes[1], **asked), rollout)
    return change_routing(state, "churn", lambda _: first, now=NOW, reason="test")


def change_traffic(state: StateStore, **traffic: Any) -> None:
    """Change what the challenger gets."""

    def change(routing: Routing | None) -> Routing:
        assert routing is not None
        assert routing.challenger is not None
        return replace(routing, challenger=replace(routing.challenger, **traffic))

    change_routing(state, "churn", change, now=NOW, reason="test")


def logged(home: Path, *, kind: str = "AllTraffic") -> Iterator[dict[str, Any]]:
    """Read every line of the prediction log, with what is text inside it."""
    for path in sorted((home / "capture" / "dev" / "churn" / kind).rglob("*.*")):
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if "captureData" not in line:
                yield line
                continue
            asked, said = line["captureData"]["endpointInput"], line["captureData"]["endpointOutput"]
            meta = line["eventMetadata"]
            yield (
                {"asked": asked["data"], "type": asked["observedContentType"], "encoding": asked["encoding"]}
                | meta
                | (json.loads(said["data"]))
            )
