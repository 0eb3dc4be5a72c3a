"""All assets of one model, in the order in which data meets them."""

import dagster as dg

from mlops_assets.assets.candidate import candidate_asset
from mlops_assets.assets.deployment import deployment_asset
from mlops_assets.assets.evaluation import evaluation_asset
from mlops_assets.assets.experiment import experiment_asset
from mlops_assets.assets.model import Model
from mlops_assets.assets.monitoring import drift_report_asset, profile_asset, quality_report_asset
from mlops_assets.assets.prediction_log import prediction_log_asset
from mlops_assets.assets.predictions import predictions_asset
from mlops_assets.assets.registration import registered_version_asset
from mlops_assets.assets.rollout import rollout_asset
from mlops_assets.assets.training_set import training_set_asset

STAGES = (
    training_set_asset,
    candidate_asset,
    evaluation_asset,
    registered_version_asset,
    deployment_asset,
    predictions_asset,
    profile_asset,
    drift_report_asset,
    quality_report_asset,
    prediction_log_asset,
)


def lifecycle_assets(model: Model) -> list[dg.AssetsDefinition]:
    """Return every asset of a model; `rollout` where its file has steps, `experiment` where it has one."""
    rollout = [] if model.rollout is None else [rollout_asset(model)]
    experiment = [] if model.experiment is None else [experiment_asset(model)]
    return [stage(model) for stage in STAGES] + rollout + experiment
