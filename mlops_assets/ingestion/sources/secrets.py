"""Secrets by name: looked up where dlt looks, and kept out of every message.

dlt's own accessors note each value for the trace that a pipeline writes to disk; these lookups leave no note.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Generator

MASK = "***"
LOGGERS = ("dlt", "urllib3.connectionpool")  # the two that name addresses, which may hold a key


class SecretMissing(MlopsError):
    """A secret that a file names is nowhere to be found."""

    def __init__(self, name: str) -> None:
        variable = name.replace(".", "__").upper()
        super().__init__(
            f"Secret {name}",
            found="nothing of that name",
            required="a value in the environment or in dlt's secrets",
            remedy=f"Set the environment variable {variable}, or write `{name}` in .dlt/secrets.toml.",
        )


class Secrets:
    """The secrets of one load."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def read(self, name: str) -> str:
        """Return the secret called `name`.

        Raises:
            SecretMissing: No provider has it.
        """
        import dlt

        *sections, key = name.split(".")
        for provider in dlt.secrets.config_providers:
            value, _ = provider.get_value(key, str, None, *sections)  # type: ignore[arg-type]
            if value not in (None, ""):
                self.add(str(value))
                return str(value)
        raise SecretMissing(name)

    def add(self, value: str) -> None:
        """Keep `value` out of messages from now on, also as it is written in an address."""
        self._values |= {value, quote(value, safe=""), quote_plus(value)}

    def masked(self, text: str) -> str:
        """Return `text` without any secret."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    @contextmanager
    def out_of_logs(self) -> Generator[None]:
        """Mask secrets in what dlt and the HTTP library log meanwhile."""

        def mask(record: logging.LogRecord) -> bool:
            record.msg, record.args = self.masked(record.getMessage()), None
            return True

        loggers = [logging.getLogger(name) for name in LOGGERS]
        for logger in loggers:
            logger.addFilter(mask)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(mask)
