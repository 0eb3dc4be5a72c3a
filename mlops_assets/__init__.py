"""The machine-learning lifecycle as Dagster assets: one model is one file."""

from importlib.metadata import version

__version__ = version("mlops-assets")
