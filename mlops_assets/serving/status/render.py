"""The status page as HTML: each section once, for the first paint and for what the page's script fetches later.

Every text is escaped. No style attribute and no foreign script, so that the policy allows only what stands in `page.html`.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from mlops_assets.serving.status.model import model_section
from mlops_assets.serving.status.text import age, count, fact, milliseconds, share

if TYPE_CHECKING:
    from mlops_assets.serving.status.view import Status, WorkerView

STATES = {
    "well": ("good", "✓ answering"),
    "failing": ("bad", "✕ a version or its routing cannot be loaded"),
    "loading": ("warn", "! loading a version"),
    "draining": ("warn", "! stopping"),
    "empty": ("warn", "! no model is routed"),
}
EMPTY = (
    "<p class=model>No model has traffic yet. Materialise its <code>deployment</code>, or run "
    "<code>mlops promote MODEL VERSION</code>.</p>"
)
_PARTS = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def page(status: Status) -> bytes:
    """Return the whole page."""
    filled = {**sections(status), "title": escape(title(status)), "at": f"{status.at:%Y-%m-%d %H:%M} UTC"}
    return Template(_source()).substitute(filled).encode()


def title(status: Status) -> str:
    """Return the title of the page, which a tab shows."""
    return f"{STATES[status.state][1][:1]} {status.env} model server"


def sections(status: Status) -> dict[str, str]:
    """Return what changes, by the id of its place."""
    return {
        "top": _top(status),
        "models": "".join(model_section(model, now=status.at) for model in status.models) or EMPTY,
        "workers": _workers(status),
    }


@cache
def policy() -> str:
    """Return the content security policy: the page's own style and script, and nothing else."""
    hashes = {tag: base64.b64encode(sha256(text.encode()).digest()).decode() for tag, text in _PARTS.findall(_source())}
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _source() -> str:
    return (files("mlops_assets.serving.status") / "page.html").read_text(encoding="utf-8")


def _top(status: Status) -> str:
    kind, said = STATES[status.state]
    recent = status.recent
    facts = [
        fact("Workers", f"{len(status.workers)} of {status.wanted}"),
        fact("Requests, last minute", count(recent.requests)),
        fact("Errors", share(recent.errors, recent.requests), kind="bad" if recent.errors else ""),
        fact("p99", milliseconds(recent.p99_ms)),
        fact("In flight", count(status.counters.get("in_flight", 0))),
        *_losses(status.counters),
    ]
    return (
        f"<p class=quiet><small>Model server</small></p><div class=head><h1>{escape(status.env)}</h1>"
        f'<span class="chip {kind}">{said}</span><small class=end><code>{escape(status.url)}</code></small></div>'
        f"<dl class=facts>{''.join(facts)}</dl>"
    )


def _losses(counters: dict[str, float]) -> list[str]:
    """Return what was lost, if anything was: nobody should have to look for it."""
    named = {"log_shed": "Log lines shed", "log_failures": "Log failures", "shadow_dropped": "Shadow dropped"}
    return [fact(text, count(counters[name]), kind="bad") for name, text in named.items() if counters.get(name)]


def _workers(status: Status) -> str:
    missing = status.wanted - len(status.workers)
    note = f"<p class=bad>{missing} worker{'s' * (missing > 1)} being started again.</p>" if missing > 0 else ""
    return f"<h3>Workers</h3>{note}<ul class=workers>{''.join(map(_worker, status.workers))}</ul>"


def _worker(worker: WorkerView) -> str:
    restarts = f"{worker.restarts} restart{'s' * (worker.restarts != 1)}"
    kind = "warn" if worker.restarts else "quiet"
    state = ' <span class="chip warn">stopping</span>' if worker.is_draining else ""
    return (
        f"<li><b>{worker.slot}</b> · process {worker.pid}{state}<br><small>up {age(worker.age_seconds)} · "
        f"<span class={kind}>{restarts}</span> · {count(worker.requests)} requests a minute</small></li>"
    )
