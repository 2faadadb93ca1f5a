"""What an error band is, wherever one stands: in tables of rates, calibrations, plans, draws and studies.

A band b of a predicted rate says that the measured one lies between prediction / (1 + b) and prediction x (1 + b) in
four cases of five: half and double are equally far, as they are for whoever has to serve the requests. The distance of
a single prediction is therefore max(predicted / measured, measured / predicted) - 1, and a band is the distance that
four in five stay below. What scores print, |predicted / measured - 1|, is an error and no band.
"""

BAND_SHARE = 0.8
"""Share of further points that lie within the error band [-]."""


def distance(predicted: float, measured: float) -> float:
    """How far a prediction is from what was measured, by the larger over the smaller [-]."""
    return max(predicted, measured) / min(predicted, measured) - 1 if min(predicted, measured) > 0 else float("inf")
