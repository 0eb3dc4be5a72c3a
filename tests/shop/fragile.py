"""A request function that breaks while the file that `SHOP_REQUESTS_BREAK` names exists."""

import os
from pathlib import Path


def request_features(columns):
    if Path(os.environ["SHOP_REQUESTS_BREAK"]).exists():
        raise RuntimeError("the price list is gone")
    return columns
