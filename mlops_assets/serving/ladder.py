"""How a loaded version scores: the cheapest rung that gives the golden scores again, one for few rows and one for many.

Rungs of few rows: `flat+onnx`, values through tables into ONNX; `xgboost`, into the booster; `pipeline`, scikit-learn.
Of many: `xgboost` and `flat+onnx` by whole columns, then `pipeline`. Nothing of them was ever pickled.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.equality import ROWS, TABLES
from mlops_assets.predictor.forms import BOOSTER, MAKERS, ONNX, row_scorers, scorers
from mlops_assets.predictor.golden import TOLERANCE
from mlops_assets.predictor.rows import MOST_ROWS, RowScorer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.predictor.equality import Scorer
    from mlops_assets.predictor.forms import FlatScorer

FLAT, XGBOOST, PIPELINE = "flat+onnx", "xgboost", "pipeline"
RUNGS = {ONNX: FLAT, BOOSTER: XGBOOST}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ladder:
    """The rungs that a version scores by.

    Attributes:
        rung: Of few rows.
        bulk_rung: Of many.
        refused: Why a rung above is not used, by rung; of few rows also `rows`.
    """

    predictor: Predictor
    rows: RowScorer | None
    bulk: Scorer
    rung: str
    bulk_rung: str
    refused: Mapping[str, str]

    def score(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray[Any, Any]:
        """Return what `Predictor.predict` returns."""
        rows = len(next(iter(columns.values()), ()))
        if self.rows is not None and 0 < rows <= MOST_ROWS:
            return self.rows.score(list(columns.values()))
        return (self.bulk if rows else self.predictor).predict(_arrays(columns, self.predictor))


def choose(predictor: Predictor) -> Ladder:
    """Replay the golden rows through every rung, and take the first that gives their scores."""
    refused = {RUNGS.get(form, form): reason for form, reason in predictor.manifest.lacking.items()}
    forms = dict(_flat(predictor, refused))
    few = {} if ROWS in refused else row_scorers(forms)
    is_by_row = all(_is_equal(predictor, scorer, ROWS, refused) for scorer in few.values()) and bool(few)
    bulk = next((form for form in (BOOSTER, ONNX) if form in forms), None)
    bulk_rung = RUNGS[bulk] if bulk else PIPELINE
    return Ladder(
        predictor=predictor,
        rows=few[ROWS] if is_by_row else None,
        bulk=forms[bulk] if bulk else predictor,
        rung=next(RUNGS[form] for form in MAKERS if form in forms) if is_by_row else bulk_rung,
        bulk_rung=bulk_rung,
        refused=refused,
    )


def _flat(predictor: Predictor, refused: dict[str, str]) -> Iterator[tuple[str, FlatScorer]]:
    """Yield the forms that open and score as they should; note why others do not."""
    files = predictor.form_files
    for form in MAKERS:
        if form not in files:
            continue
        try:
            opened = scorers({TABLES: files[TABLES], form: files[form]}, predictor.manifest.signature)
        except Exception as error:  # noqa: BLE001  (a library of another version; a rung below scores)
            refused[RUNGS[form]] = f"does not open: {type(error).__name__}: {error}".splitlines()[0]
            log.warning("%s: %s %s", predictor.sha256[:12], form, refused[RUNGS[form]])
        else:
            if _is_equal(predictor, opened[form], RUNGS[form], refused):
                yield form, opened[form]


def _is_equal(predictor: Predictor, scorer: Scorer, name: str, refused: dict[str, str]) -> bool:
    difference = _difference(predictor, scorer)
    if difference <= TOLERANCE:
        return True
    refused[name] = f"golden rows differ by {difference:.3g}, required {TOLERANCE:g}"
    log.warning("%s: %s: %s", predictor.sha256[:12], name, refused[name])
    return False


def _difference(predictor: Predictor, scorer: Scorer) -> float:
    """Return how far a form is from the golden scores; a form for few rows also row by row."""
    golden = predictor.golden
    try:
        worst = golden.difference(scorer)
        if isinstance(scorer, RowScorer):
            each = [golden.row(place).difference(scorer) for place in range(len(golden.scores))]
            worst = max([worst, *each], key=lambda one: one if one == one else float("inf"))  # noqa: PLR0124  NaN
    except Exception:
        log.exception("%s: a form does not score", predictor.sha256[:12])
        return float("inf")
    return worst


def _arrays(columns: Mapping[str, Sequence[Any]], predictor: Predictor) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np

    types = {"numeric": np.float64, "categorical": object}
    return {name: np.array(columns[name], dtype=types[kind]) for name, kind in predictor.features.items()}
