"""Which folder of definition files a command works on."""

from pathlib import Path

from mlops_assets.settings import load_settings


def defs_folder(chosen: Path | None) -> Path:
    """Return the folder that the user chose, else the code location's own."""
    return (chosen or load_settings().root / "mlops_assets" / "defs").resolve()
