"""Published data and numbers of experiments, typed from the sources named beside them."""

from __future__ import annotations

# tea-tasting 1.14, make_users_data(rng=42): users, and sums over them, by variant (0 is the control).
TEA_TASTING_USERS = {
    "variant": ["0", "1"],
    "n": [2023, 1977],
    "s_orders": [1073, 1133],
    "q_orders": [2073, 2121],
    "s_sessions": [4038, 3920],
    "q_sessions": [10098, 9698],
    "c_orders_sessions": [2648, 2730],
}
# Its Mean("orders"), RatioOfMeans("orders", "sessions") and SampleRatio().
TEA_TASTING_ORDERS = {
    "control": 0.5304003954522986,
    "value": 0.5730905412240769,
    "low": -0.01080020159820557,
    "high": 0.09618049314176222,
    "p": 0.11773177998716237,
    "lift": 0.08048664016431273,
    "lift_low": -0.019515294044062048,
    "lift_high": 0.19068800612788883,
}
TEA_TASTING_ORDERS_PER_SESSION = {
    "control": 0.2657256067360079,
    "value": 0.28903061224489796,
    "low": -0.0024594336679094955,
    "high": 0.04906944468568956,
    "p": 0.0762375997816836,
    "lift_low": -0.008944184133335975,
    "lift_high": 0.19377576095526305,
}
TEA_TASTING_SAMPLE_RATIO = 0.47676672399858
# make_users_data(rng=42, covariates=True), Mean("orders", covariate="orders_covariate").
TEA_TASTING_COVARIATES = {
    "variant": ["0", "1"],
    "n": [2023, 1977],
    "s_orders": [1073, 1133],
    "q_orders": [2073, 2121],
    "s_before": [1090, 1006],
    "q_before": [2720, 2380],
    "c_orders_before": [1691, 1551],
}
TEA_TASTING_CUPED = {
    "control": 0.5226833010781679,
    "value": 0.5809871936868317,
    "low": 0.015696510168619296,
    "high": 0.10091127504870843,
    "p": 0.007330409808686719,
}

# gbstats (GrowthBook's statistics): (sum, sum of squares, n) of revenue, Welch's test.
GBSTATS_REVENUE = {
    "variant": ["control", "new"],
    "n": [3407, 3461],
    "s_revenue": [1396.87, 2422.7],
    "q_revenue": [52377.9767, 134698.29],
}
GBSTATS_ABSOLUTE = {"difference": 0.29, "low": 0.04538, "high": 0.53462, "p": 0.02016}
GBSTATS_RELATIVE = {"lift": 0.70732, "lift_low": -0.03526, "lift_high": 1.44989}
# Its sequential interval, with 3000 units in the control and a tuning of 1000.
GBSTATS_SEQUENTIAL_N, GBSTATS_SEQUENTIAL_TUNING = 3000, 1000
GBSTATS_SEQUENTIAL = (-0.55844, 1.56516)
# Its Bayesian reading of 49 of 100 against 51 of 100.
GBSTATS_BAYES = {"lift": 0.04082, "chance": 0.60918, "loss_keep": 0.0813958, "loss_ship": 0.0405795}

# Sample ratio: units, planned weights, chi-squared (None: not published), p.
SAMPLE_RATIOS = [
    ([600, 400], [1, 1], None, 2.54e-10),
    ([44_000, 45_000], [1, 1], None, 0.000802),
    ([821_588, 815_482], [1, 1], None, 1.82e-6),
    ([5100, 2400, 2500], [50, 25, 25], 6.0, 0.0498),
]
# The documented example of the package savvi, for Lindon & Malek (2022): numpy.random.seed(1), 1000 draws of
# multinomial(1, (.1, .3, .6)) tested against (.1, .4, .5) with k = 100 at 5 % stop at 402.
LINDON_MALEK = {"seed": 1, "true": (0.1, 0.3, 0.6), "null": (0.1, 0.4, 0.5), "k": 100, "stops": 402}

# Newcombe (1998), Statistics in Medicine 17:873-890, table II, example (a), method 10: 56/70 and 48/80.
NEWCOMBE = ((56, 70), (48, 80), (0.0524, 0.3339))

# Sample sizes at 80 % power and 5 % error: G*Power / statsmodels (t test), Cohen's arcsine, Schoenfeld.
SCHOENFELD = {0.5: 65.35, 0.7: 246.79, 0.8: 630.52, 0.9: 2828.21}
# False alarms of looking 1, 5, 10, 20 times at 5 %: Armitage, McPherson & Rowe (1969).
PEEKING = {1: 0.050, 5: 0.142, 10: 0.193, 20: 0.248}
# Pocock (1977); Jennison & Turnbull (2000), tables 2.1 and 2.2: critical values, and inflation at 80 % power.
POCOCK = {2: (2.178, 1.110), 5: (2.413, 1.229), 10: (2.555, 1.301)}

# A start-up's public price test: assigned and converted, old price first; revenue a visitor, its interval.
LIVE_PRICE_TEST = {"n": [574, 550], "converted": [22, 14], "z": -1.2253, "p": 0.2205}
LIVE_REVENUE = {"old": 0.0972, "new": 0.1507, "low": -0.034, "high": 0.141}
