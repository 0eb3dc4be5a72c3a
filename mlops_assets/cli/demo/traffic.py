"""Real requests of the demo's flights to a real model server."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from mlops_assets.cli.demo.story import MODEL
from mlops_assets.cli.ports import listen
from mlops_assets.cli.services import Service, running, wait_until_ready
from mlops_assets.cli.up import HOST, answers
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from mlops_assets.assets.model import Model
    from mlops_assets.settings import Settings

READY_SECONDS = 60.0
JSON = {"Content-Type": "application/json"}


class NotAnswered(MlopsError):
    """The server refused a flight of the demo."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(
            "A request of the demo",
            found=f"status {status}: {reason[:300]}",
            required="a prediction",
            remedy="Look into .mlops/logs/server.log.",
        )


class Client:
    """One connection to the server; the flights of a week are asked again and again."""

    def __init__(self, port: int, requests: Iterable[dict[str, Any]]) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=30)
        self._bodies = [json.dumps({"dataframe_records": [one]}).encode() for one in requests]
        self._sent = 0

    def send(self, count: int) -> None:
        """Ask for `count` predictions, one after the other.

        Raises:
            NotAnswered: One was refused.
        """
        for _ in range(count):
            self._connection.request(
                "POST", f"/models/{MODEL}/invocations", self._bodies[self._sent % len(self._bodies)], JSON
            )
            response = self._connection.getresponse()
            text = response.read().decode()
            if response.status != 200:  # noqa: PLR2004  (HTTP)
                raise NotAnswered(response.status, text)
            self._sent += 1


@contextmanager
def served(settings: Settings, requests: Iterable[dict[str, Any]]) -> Generator[Client]:
    """Run a model server of its own until the block ends."""
    with listen(HOST, 0, flag="--port") as listener:
        port = listener.getsockname()[1]
    url = f"http://{HOST}:{port}"
    command = (sys.executable, "-m", "mlops_assets.cli.app", "serve", "--host", HOST, "--port", str(port))
    server = Service("server", command, port, "--port", url, lambda: answers(f"{url}/ping"))
    with running([server], logs=settings.home / "logs", folder=settings.root, env=dict(os.environ)) as started:
        wait_until_ready(started, timeout_s=READY_SECONDS)
        yield Client(port, requests)


def flights_of(settings: Settings, model: Model, window: str) -> list[dict[str, Any]]:
    """Return what callers would have sent in a week: what the request needs, and whom it is about."""
    from mlops_assets.features.spine import window_spine

    definition = model.definition()
    asked = next(one for one in model.partitions.windows() if one.key == window)
    entities = [column for view in definition.views for column in view.spec.entity]
    names = list(dict.fromkeys([*definition.request.inputs, *entities]))
    return window_spine(definition, lake=settings.lake, window=asked).select(names).to_pylist()
