"""A registered version in plain Python: what `mlops_assets.load("flight_delay")` gives. It reads, and changes nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import cards
from mlops_assets.registry.lineage import TRAINING_SET_URI
from mlops_assets.registry.reference import find_version, split_reference
from mlops_assets.rollout.roles import roles
from mlops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.evaluation.verdict import Verdict
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.registry.lifecycle import VersionCard


@dataclass(frozen=True)
class RegisteredModel:
    """One version of a model.

    Attributes:
        card: Its number, status, decisions, lineage, and where its files are.
    """

    card: VersionCard
    settings: Settings

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.card.version

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model, verified against its manifest."""
        from mlops_assets.predictor.artifact import load

        return load(self.card.artifact_uri)

    def training_set(self) -> pd.DataFrame:
        """Return the rows that the version was trained, stopped and judged on.

        Raises:
            CorruptTrainingSet: They are no longer kept, or were changed.
        """
        from mlops_assets.features.training_set import load

        return load(self.card.lineage[TRAINING_SET_URI]).table.to_pandas()

    def predict(self, rows: pd.DataFrame) -> pd.Series | pd.DataFrame:
        """Score rows as the model server would.

        A feature that has no column is computed from the request inputs if they are there, and null otherwise (with a
        warning, since in a notebook that is often a slip). Columns that the model does not know are ignored.

        Returns:
            One score per row under the index of `rows`: the probability of the positive class, or the predicted value.
            Of a multiclass model the probabilities, one column per class.

        Raises:
            MlopsError: A column has values that the model cannot take, or the request function refuses its inputs.
        """
        import pandas as pd

        scores = self.predictor.predict(self._features(rows))
        if classes := self.predictor.manifest.classes:
            return pd.DataFrame(scores, index=rows.index, columns=pd.Index(classes))
        return pd.Series(scores, index=rows.index, name="score")

    def verdict(self) -> Verdict | None:
        """Return what the gate said about the candidate that became this version."""
        from mlops_assets.evaluation.verdict import read_verdict
        from mlops_assets.training.tracking import open_tracking

        return read_verdict(open_tracking(self.settings).open_run(self.card.run_id))

    def versions(self) -> pd.DataFrame:
        """Return all versions of the model, oldest first, with their status, role and the last word on them."""
        import pandas as pd

        state = open_state(self.settings.lake)
        role_of = {version: role for role, version in roles(state, self.card.name).items()}
        rows = [
            {
                "version": card.version,
                "status": card.status,
                "role": role_of.get(card.version, ""),
                "registered_at": card.registered_at,
                "decided_by": card.decisions[-1].who if card.decisions else "",
                "why": card.decisions[-1].why if card.decisions else "",
                "candidate_id": card.candidate_id,
                "artifact_uri": card.artifact_uri,
            }
            for card in cards(state, self.card.name)
        ]
        return pd.DataFrame(rows).set_index("version")

    def __repr__(self) -> str:
        card = self.card
        return f"<{card.name}@{card.version}, {card.status}, registered {card.registered_at:%Y-%m-%d}, {card.artifact_uri}>"

    def _features(self, rows: pd.DataFrame) -> dict[str, object]:
        import pyarrow as pa

        from mlops_assets.features.request import computed_features
        from mlops_assets.predictor.frame import as_array

        model = self.predictor
        inputs = {name: as_array(name, "request input", rows[name]) for name in model.request_inputs if name in rows}
        computed = computed_features(
            model.request_features, model.request_inputs, inputs, len(rows), kinds=model.manifest.input_kinds
        )
        found = {name: rows[name] if name in rows else computed.get(name) for name in model.features}
        if missing := [name for name, values in found.items() if values is None]:
            warnings.warn(f"no column {', '.join(missing)}: null in every row", stacklevel=3)
        return {name: pa.nulls(len(rows)) if values is None else values for name, values in found.items()}


def open_version(reference: str) -> RegisteredModel:
    """Find a version in the deployment that the environment names; see `mlops_assets.load`."""
    settings, (model, wanted) = load_settings(), split_reference(reference)
    state = open_state(settings.lake)
    return RegisteredModel(find_version(state, model, wanted, roles(state, model)), settings)
