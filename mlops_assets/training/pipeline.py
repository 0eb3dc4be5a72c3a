"""The preprocessing in front of an estimator, built from the kinds of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

    from mlops_assets.predictor.signature import Signature

RAREST_CATEGORY = 20  # rows; rarer ones share one column, which unseen categories take too
MOST_CATEGORIES = 64


def preprocessing(signature: Signature, *, scale: bool) -> ColumnTransformer:
    """Return the unfitted transformer: medians for missing numbers, one-hot columns for categories.

    Args:
        scale: Standardise numbers; trees do not need it, most other estimators do.
    """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    encode = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=RAREST_CATEGORY,
        max_categories=MOST_CATEGORIES,
        sparse_output=False,  # XGBoost reads an absent entry of a sparse matrix as missing, not as 0
        dtype=cast("Any", np.float32),
    )
    return ColumnTransformer(
        [
            ("numeric", make_pipeline(impute, StandardScaler()) if scale else impute, signature.names("numeric")),
            ("categorical", encode, signature.names("categorical")),
        ],
        sparse_threshold=0,
        verbose_feature_names_out=False,
    )
