"""`mlops serve`: the model server as a process."""

import socket
from typing import TYPE_CHECKING

import typer

from mlops_assets.cli.ports import listen
from mlops_assets.settings import load_settings, silence_telemetry

if TYPE_CHECKING:
    import uvicorn


def serve(*, host: str = "127.0.0.1", port: int = 8080) -> int:
    """Serve the routed version of every model until interrupted; return the exit code.

    Args:
        port: 0 takes any free port; the heartbeat and the first line of output name it.

    Raises:
        CannotListen: The port is in use, or the address is not one of this machine.
    """
    import uvicorn

    from mlops_assets.lake.state import open_state
    from mlops_assets.serving.app import create_app

    silence_telemetry()
    settings = load_settings()
    with listen(host, port, flag="--port") as listener:
        url = f"http://{host}:{listener.getsockname()[1]}"
        app = create_app(open_state(settings.lake), settings.home, env=settings.env, url=url)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        typer.echo(f"Serving {settings.env} on {url} (models: {url}/models, documentation: {url}/docs)")
        return _run(uvicorn.Server(config), listener)


def _run(server: "uvicorn.Server", listener: socket.socket) -> int:
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises the signal again after it has shut down
        return 0
    return 0 if server.started else 1
