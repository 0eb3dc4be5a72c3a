"""How far the loads of a table have come: stored in the same commit as its rows, so that a crash leaves both or neither.

Keep out: what a cursor means; that is the source's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.tables import commit_properties

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY_CONTENT = ""


@dataclass(frozen=True)
class Standing:
    """What the newest commit of a table says about its loads.

    Attributes:
        load: How many loads were published; loads of windows are not counted.
        load_id: dlt's name of the newest of them.
        state: Where its cursor stands; None without a cursor.
        content: Identity of the rows, for a table that is not cut into windows.
        release: The rows that were last released from quarantine, until somebody reads that they have left it.
        key: Columns that name a row, by which a reader of `@current` finds the newest version of each.
    """

    load: int = 0
    load_id: str = ""
    state: dict[str, Any] | None = None
    content: str = EMPTY_CONTENT
    release: dict[str, Any] | None = None
    key: list[str] | None = None

    def facts(self) -> dict[str, str]:
        """Return what is stored with a commit."""
        return {name: json.dumps(value, sort_keys=True) for name, value in vars(self).items() if value is not None}

    def after(self, *, load_id: str, state: Mapping[str, Any] | None, content: str) -> Standing:
        """Return the standing once one more load is published."""
        held = None if state is None else dict(state)
        return replace(self, load=self.load + 1, load_id=load_id, state=held, content=content)


def standing(uri: str, version: int | None) -> Standing:
    """Return where a table stands at a version; None: before its first load."""
    facts = {} if version is None else commit_properties(uri, version)
    known = {name: json.loads(text) for name, text in facts.items() if name in Standing.__dataclass_fields__}
    return Standing(**known)
