"""An estimator that does not come to an end while the file that `SHOP_TRAINING_WAITS` names exists."""

import os
import time
from pathlib import Path


def patient(**params):
    from xgboost import XGBClassifier

    waits = Path(os.environ["SHOP_TRAINING_WAITS"])
    while waits.exists():
        time.sleep(0.05)
    return XGBClassifier(**params)
