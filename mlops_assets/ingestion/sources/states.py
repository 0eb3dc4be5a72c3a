"""Cursors of tables, taken out of dlt after a load and put back before the next.

A table's state is what dlt keeps for its resource, and for the resources that feed it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

State = dict[str, Any]  # of one table: JSON, and nobody's business but dlt's


def restore(pipeline: Any, source: Any, states: Mapping[str, State]) -> None:
    """Let the next run of `source` start where the states end; tables without one are read from their beginning.

    Two tables may be fed by one resource. Where their states differ, one of the two loads was refused, and the
    resource starts from its beginning: rows come again rather than never.
    """
    from dlt.common import json as typed

    resources: State = {}
    for name, state in ((name, state) for table in states.values() for name, state in table.items()):
        resources[name] = state if resources.get(name, state) == state else {}
    if resources:
        with pipeline.managed_state() as state:
            state.setdefault("sources", {})[source.name] = typed.typed_loads(json.dumps({"resources": resources}))


def taken(pipeline: Any, source: Any, tables: Sequence[str]) -> dict[str, State]:
    """Return the states of the tables that have one."""
    from dlt.common import json as typed

    kept = pipeline.state.get("sources", {}).get(source.name, {}).get("resources", {})
    resources: State = json.loads(typed.typed_dumps(kept))
    states = {
        table: {name: resources[name] for name in _feeding(source.resources[table]) if resources.get(name)}
        for table in tables
    }
    return {table: state for table, state in states.items() if state}


def _feeding(resource: Any) -> Iterator[str]:
    pipe = resource._pipe  # noqa: SLF001  dlt has no public way from a transformer to its parent
    while pipe is not None:
        yield pipe.name
        pipe = pipe.parent
