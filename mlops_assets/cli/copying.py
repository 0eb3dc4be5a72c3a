"""`mlops promote NAME --to ENV`: a version with its lineage for another environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from mlops_assets.cli.decisions import Desk, open_desk, settle
from mlops_assets.cli.places import defs_folder
from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from mlops_assets.registry.copying import Place


class SamePlace(MlopsError):
    """A version was to be copied to where it is."""

    def __init__(self, env: str, lake: str) -> None:
        super().__init__(
            f"copy to {env}",
            found=f"the environment that it is in ({lake})",
            required="another one",
            remedy="Name another environment, or set MLOPS_ENV to the one that holds the version.",
        )


def copy_to(
    reference: str, env: str, *, lake: str | None, mlflow: str | None, deploy: bool, reason: str, by: str | None
) -> None:
    """Copy a version to `env`, by default within the same lake root and MLflow.

    Raises:
        MlopsError: See `registry.copying.copy_version`; or it may not be deployed there.
    """
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.registry.copying import copy_version
    from mlops_assets.registry.reference import find_version, split_reference
    from mlops_assets.rollout import promotion
    from mlops_assets.rollout.mirror import mirror_aliases
    from mlops_assets.rollout.roles import roles
    from mlops_assets.rollout.traffic import settle_rejections

    desk = open_desk(by)
    there = Desk(_settings_of(env, lake=lake, mlflow=mlflow), desk.who)
    if there.settings.lake == desk.settings.lake:
        raise SamePlace(env, there.settings.lake)
    model, wanted = split_reference(reference)
    settle_rejections(desk.state, model)
    card = find_version(desk.state, model, wanted, roles(desk.state, model))
    approval = read_catalog(defs_folder(None)).model(model).spec.approval
    copied = copy_version(card, _place(desk), _place(there), approval=approval, now=desk.now)
    mirror_aliases(there.registry, there.state, model)
    typer.echo(f"{env}.{model}: version {copied.version} ({copied.status}) is {copied.copied_from}.")
    if deploy:
        settle(
            there,
            model,
            promotion.promote(there.state, model, copied.version, who=there.who, now=there.now, reason=reason),
        )


def _settings_of(env: str, *, lake: str | None, mlflow: str | None) -> Settings:
    changed = {"MLOPS_ENV": env, "MLOPS_LAKE": lake, "MLFLOW_TRACKING_URI": mlflow}
    return load_settings({**os.environ, **{name: value for name, value in changed.items() if value}})


def _place(desk: Desk) -> Place:
    from mlops_assets.registry.copying import Place
    from mlops_assets.training.tracking import open_tracking

    return Place(desk.settings.env, desk.settings.lake, open_tracking(desk.settings), desk.registry)
