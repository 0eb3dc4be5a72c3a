"""A rollout of the shop that goes well, without any training: version 2 begins, and what servers would log of every step is there."""

import json

from predictions.log.served import answer, shadow, write_segment

from mlops_assets.lake.state import open_state
from mlops_assets.rollout.rollouts import start
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Route
from mlops_assets.rollout.traffic import give_all_traffic
from shop.deployment import Shop

MODEL, JOB = "returns", "returns_rollout"
SHARES = [0, 0.5, 1.0]
PLAN = {
    "steps": [100 * share for share in SHARES],
    "assign_by": ["customer"],
    "bake_minutes": 0,
    "min_requests": 20,
    "interval_seconds": 1,
    "metrics": {"latency_p99": None},  # its bound takes more requests than a test should make
}
SCORES = [0.1 * (place % 9) for place in range(300)]
ARM = {"variant": "challenger", "assigned": "challenger", "version": 2}


def roll(shop: Shop) -> None:
    """Begin the rollout of version 2 beside version 1, with everything logged that makes each step pass."""
    file, state, now = shop.defs / MODEL / "defs.yaml", open_state(shop.lake), shop.replay.clock.now()
    file.write_text(f"{file.read_text()}  rollout: {json.dumps(PLAN)}\n")
    shop.reload()
    if read_routing(state, MODEL) is None:
        give_all_traffic(state, MODEL, Route(1, "run1", "/models/1"), now=now, reason="first")
    spec = RolloutSpec.model_validate(PLAN)
    routing = start(state, MODEL, Route(2, "run2", "/models/2"), spec, now=now, reason="better")
    assert routing.rollout is not None
    for step, share in enumerate(SHARES):
        log_step(shop, f"{routing.rollout.id}/{step}", share)


def log_step(shop: Shop, label: str, share: float) -> None:
    """Log 300 requests of the champion, and as many of the challenger as its share asks for."""
    count = round(len(SCORES) * share / (1 - share)) if share < 1 else len(SCORES)
    facts = {"label": label, "at": shop.replay.clock.now()}
    lines = [answer(place, score, **facts) for place, score in enumerate(SCORES)]
    lines += [answer(1000 + place, SCORES[place % len(SCORES)], **facts, **ARM) for place in range(count)]
    if not share:
        lines += [shadow(place, score, version=2, **facts) for place, score in enumerate(SCORES)]
    write_segment(shop.home / "capture" / "dev", lines, f"{label.replace('/', '-')}-1.jsonl", at=facts["at"])


def routing_of(shop: Shop) -> Routing:
    stored = read_routing(open_state(shop.lake), MODEL)
    assert stored is not None
    return stored[0]


def expect_agreement(routing: Routing) -> None:
    """Traffic is what the step says, or the challenger has taken over in one swap."""
    rollout = routing.rollout
    assert rollout is not None
    if rollout.is_active:
        assert routing.challenger is not None
        assert (routing.champion.version, routing.challenger.route.version) == (1, 2)
        assert routing.challenger.share == SHARES[rollout.step]
    else:
        assert rollout.phase == "promoted"
        assert routing.previous is not None
        assert (routing.champion.version, routing.previous.version, routing.challenger) == (2, 1, None)
