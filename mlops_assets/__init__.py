"""The machine-learning lifecycle as Dagster assets: one model is one file."""

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.notebook import RegisteredModel

__version__ = version("mlops-assets")


def load(reference: str) -> "RegisteredModel":
    """Open a registered version for a notebook: its training set, predictions, verdict; nothing is changed.

    Args:
        reference: `flight_delay` (its champion), `flight_delay@3`, `flight_delay@challenger`.

    Raises:
        MlopsError: The deployment of `MLOPS_ENV` has no such model or version.
    """
    from mlops_assets.notebook import open_version

    return open_version(reference)
