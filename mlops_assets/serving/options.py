"""How a server behaves: limits, keys, what to do when the disk is full. One object, made from the command line.

Each option is a flag of `mlops serve` (`--max-rows`) and a variable of the environment (`MLOPS_SERVE_MAX_ROWS`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Time = Annotated[float, Meta(gt=0, le=1e9)]


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `mlops serve`; the defaults suit a laptop."""

    workers: Annotated[Count, Meta(description="Processes that share the port.")] = 1
    admin_port: Annotated[
        Port | None,
        Meta(
            description="Where metrics, models, status page, docs and admin routes answer, and only there; by default on the port itself, for local use."
        ),
    ] = None
    admin_host: Annotated[str, Meta(description="Address of the admin port.")] = "127.0.0.1"
    insecure: Annotated[
        bool, Meta(description="Listen on any address without keys and admin port: somebody else guards the door.")
    ] = False
    keys_file: Annotated[
        str | None, Meta(description="File of hashed API keys (`mlops keys`); without it everybody may ask.")
    ] = None
    max_body_bytes: Annotated[Count, Meta(description="Largest body, counted while it is read.")] = 8 * 2**20
    max_rows: Annotated[Count, Meta(description="Most rows of one request.")] = 100_000
    max_in_flight: Annotated[Count, Meta(description="Requests that one worker takes at once; more get 429.")] = 256
    requests_per_second: Annotated[
        Time | None, Meta(description="Most of one API key, over all workers; by default there is no limit.")
    ] = None
    deadline_ms: Annotated[Time, Meta(description="Time within which a request is answered, or 504.")] = 5_000
    lookup_ms: Annotated[Time, Meta(description="Time that the online store has, before fallbacks stand in.")] = 10
    log: Annotated[
        Literal["off", "closed", "shed"],
        Meta(
            description="Prediction log. `closed`: without it no answer (503); `shed`: answer, and count what was not logged."
        ),
    ] = "closed"
    log_bytes: Annotated[Count, Meta(description="Size at which a segment of the log is closed.")] = 64 * 2**20
    log_seconds: Annotated[Time, Meta(description="Age at which a segment of the log is closed.")] = 60
    log_fsync: Annotated[
        bool, Meta(description="A reply waits until its lines are on the disk, and survive a loss of power.")
    ] = False
    shadow_queue: Annotated[
        Count, Meta(description="Rows that wait at most to be scored in the shadow; more are dropped and counted.")
    ] = 1_000
    drain_seconds: Annotated[
        float, Meta(ge=0, description="How long a server that was told to stop goes on answering whoever still asks.")
    ] = 5
    feedback: Annotated[bool, Meta(description="Whether POST /feedback takes labels.")] = True
    log_format: Annotated[Literal["text", "json"], Meta(description="Form of the server's own log, on stderr.")] = (
        "text"
    )
    access_log: Annotated[bool, Meta(description="A line for every request, not only for errors and slow ones.")] = (
        False
    )
    slow_ms: Annotated[Time, Meta(description="Requests that take longer get a line.")] = 1_000

    @property
    def takes_feedback(self) -> bool:
        """Whether labels can be sent; they are kept in the log, so not without one."""
        return self.feedback and self.log != "off"
