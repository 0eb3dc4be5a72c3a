"""From a training set to a candidate: split by time, fit, describe, log. Keep out: any judgement of the candidate."""
