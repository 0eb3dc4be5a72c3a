"""The model server: HTTP in, predictions of the routed version out.

Add here: routes, request bodies, the set of loaded models. Keep out: who is routed (`rollout/`), how a model scores (`predictor/`).
"""
