"""Take somebody out, place by place, so that an interrupted run loses nothing and the next one finishes.

What tells the next run that something is left to do goes last: the rows themselves, a page before its examples, a mark on a
version before its training set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.features.online.forgotten import read_tombstones
from mlops_assets.features.training_set import DATA, MANIFEST
from mlops_assets.lake.erasure import erase_past, erase_rows
from mlops_assets.lake.files import read_bytes, remove, write_bytes
from mlops_assets.lake.state import open_state, update
from mlops_assets.lake.uris import join
from mlops_assets.registry.forgetting.traces import Elsewhere, Trace, find_traces, without_rows
from mlops_assets.registry.lifecycle import NOT_REBUILDABLE, cards, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mlops_assets.registry.registry import Registry

    Who = Mapping[str, str]

FEATURES = "features/"


class NoSuchColumns(MlopsError):
    """No table has the columns that name the entity."""

    def __init__(self, who: Who, known: Sequence[str]) -> None:
        super().__init__(
            f"Forgetting by {', '.join(who)}",
            found="no table or training set in the lake with all these columns",
            required="columns that name an entity in at least one of them",
            remedy=f"Correct the names (entities and keys in the files: {', '.join(known) or 'none'}).",
        )


@dataclass(frozen=True)
class Request:
    """Who is to be forgotten, and who asked for it.

    Attributes:
        who: Values by column, as text.
        actor: Who runs it.
    """

    who: Who
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Forgotten:
    """What was done.

    Attributes:
        found: What was there before.
        left: What is still there.
        versions: `model@version` of those that can no longer be made again.
    """

    found: Sequence[Trace]
    left: Sequence[Trace]
    versions: Sequence[str]


def forget(
    request: Request,
    *,
    lake: str,
    registry: Registry,
    refresh: Callable[[str], None],
    known: Sequence[str],
    elsewhere: Sequence[Elsewhere] = (),
) -> Forgotten:
    """Take somebody out of everything in a lake, and keep a record that does not say whom.

    Args:
        refresh: Computes a feature view anew, by name; it may leave one alone that no file defines.
        known: Columns that name entities, for the error.
        elsewhere: Places beside the lake's tables, training sets and examples.

    Raises:
        NoSuchColumns: No place has all the columns.
        WriteContention: Other writers kept winning; run it again.
    """
    found = _find(lake, request.who, elsewhere)
    if not found:
        raise NoSuchColumns(request.who, known)
    theirs = [trace for trace in found if trace.is_theirs]
    _record(lake, request, theirs, is_done=False, versions=())
    for place in elsewhere:
        place.erase(request.who, now=request.at)
    for trace in (one for one in theirs if one.kind == "examples"):
        _redact(lake, trace, request.who)
    sets = [trace for trace in theirs if trace.kind == "training set"]
    versions = [version for trace in sets for version in _drop_set(lake, trace, request, registry)]
    # A table that had none of theirs may have got some from elsewhere meanwhile.
    tables = [trace.place for trace in find_traces(lake, request.who) if trace.kind == "table" and trace.is_theirs]
    for table in tables:
        erase_rows(join(lake, table), request.who, keeps_facts=not table.startswith(FEATURES))
    for table in tables:
        if table.startswith(FEATURES):
            refresh(table.removeprefix(FEATURES))
    for table in tables:
        erase_past(join(lake, table), now=request.at)
    left = [trace for trace in _find(lake, request.who, elsewhere) if trace.is_theirs or trace.note]
    _record(lake, request, theirs, is_done=not any(trace.is_theirs for trace in left), versions=versions)
    return Forgotten(found, left, versions)


def _find(lake: str, who: Who, elsewhere: Sequence[Elsewhere]) -> list[Trace]:
    return [*find_traces(lake, who), *(trace for place in elsewhere for trace in place.find(who))]


def _redact(lake: str, trace: Trace, who: Who) -> None:
    """Take examples out of a verdict; its page goes first, for it is made of them."""
    _, source, table, *_ = trace.place.split("/")
    remove(join(lake, "quality", source, f"{table}.html"))
    uri = join(lake, trace.place)
    write_bytes(uri, json.dumps(without_rows(json.loads(read_bytes(uri)), who)).encode())


def _drop_set(lake: str, trace: Trace, request: Request, registry: Registry) -> list[str]:
    """Mark the versions that were trained on a set, then remove it; its rows go last."""
    _, model, name = trace.place.split("/")
    state, text = open_state(lake), f"{request.at.isoformat()}: its training set held somebody who was forgotten"
    told: list[str] = []
    for card in cards(state, model):
        if card.lineage.get("mlops/training_set", "").startswith(name):
            mark(state, model, card.version, NOT_REBUILDABLE, f"{text} ({request.reason})")
            registry.set_tags(model, card.version, {f"mlops/{NOT_REBUILDABLE}": text})
            told.append(f"{model}@{card.version}")
    remove(join(lake, trace.place, MANIFEST))
    remove(join(lake, trace.place, DATA))
    return told


def _record(lake: str, request: Request, found: Sequence[Trace], *, is_done: bool, versions: Sequence[str]) -> None:
    """Keep who asked, when and why, and how much there was; of the person only a hash under the deployment's key."""
    pairs = [text for pair in sorted(request.who.items()) for text in pair]
    digest = read_tombstones(lake, "forgotten").hash_of(pairs)
    entry: dict[str, Any] = {
        "at": request.at.isoformat(),
        "who": request.actor,
        "reason": request.reason,
        "is_done": is_done,
        "found": [{"place": one.place, "rows": one.rows, "files": one.files} for one in found],
        "not_rebuildable": list(versions),
    }

    def change(stored: dict[str, Any] | None) -> dict[str, Any]:
        others = [one for one in (stored or {}).get("requests", ()) if one["at"] != entry["at"]]
        return {"columns": sorted(request.who), "requests": [*others, entry]}

    update(open_state(lake), f"forgotten/{digest}", change)
