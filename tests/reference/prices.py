"""Published data and numbers of prices, typed from the sources named beside them."""

from __future__ import annotations

# Logit demand 1/(1+exp(-(a-bp))) with cost c: the best price, c + (1 + W(exp(a-bc-1)))/b.
LOGIT_BEST_PRICES = [((3, 0.25, 4), 12.0), ((2, 0.1, 5), 22.66248608)]

# A subscription for ever: conversion logit a 1, b .12; hazard .03 exp(.03 p); cost 2; discount .01 a month.
SUBSCRIPTION = {"a": 1.0, "b": 0.12, "hazard": 0.03, "slope": 0.03, "cost": 2.0, "discount": 0.01}
SUBSCRIPTION_BEST, SUBSCRIPTION_VALUE = 12.1997, 73.933
SUBSCRIPTION_NAIVE, SUBSCRIPTION_NAIVE_VALUE = 14.3712, 71.886

# Gabor-Granger: prices, shares who would buy, revenue, arc elasticities.
GABOR_GRANGER_PRICES = [5, 7.5, 10, 12.5, 15]
GABOR_GRANGER_SHARES = [0.80, 0.66, 0.50, 0.34, 0.20]
GABOR_GRANGER_REVENUE = [4.0, 4.95, 5.0, 4.25, 3.0]
ARC_ELASTICITIES = [-0.479452, -0.965517, -1.714286, -2.851852]
