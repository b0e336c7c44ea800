"""Published data and numbers of survival analysis, typed from the sources named beside them."""

from __future__ import annotations

# Remission in weeks, 42 children with leukaemia. Freireich et al. (1963), Blood 21:699-716, as printed in
# Cox (1972), J. R. Statist. Soc. B 34:187-220, table 1. A 0 beside the week: still in remission.
FREIREICH_6MP = [
    (6, 1), (6, 1), (6, 1), (6, 0), (7, 1), (9, 0), (10, 1), (10, 0), (11, 0), (13, 1), (16, 1), (17, 0),
    (19, 0), (20, 0), (22, 1), (23, 1), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0),
]  # fmt: skip
FREIREICH_PLACEBO = [
    (week, 1) for week in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
]
# Kalbfleisch & Prentice (2002), The Statistical Analysis of Failure Time Data, 1.4: the 6-MP curve;
# its standard errors as printed by survfit(Surv(time, cens) ~ treat, gehan) in R.
FREIREICH_6MP_SURVIVAL = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
FREIREICH_6MP_ERROR = {6: 0.0764, 7: 0.0869, 10: 0.0963, 13: 0.1068, 16: 0.1141, 22: 0.1282, 23: 0.1346}
FREIREICH_MEDIANS = {"6-MP": 23, "placebo": 8}
FREIREICH_LOG_RANK = 16.793
# Venables & Ripley (2002), Modern Applied Statistics with S, section 13.3: coxph(Surv(time, cens) ~ treat,
# gehan), Efron's ties: coefficient, standard error, likelihood ratio.
FREIREICH_COX = (1.57, 0.412, 16.4)

# lifelines.datasets.load_waltons: lifelines' documentation (medians, log-rank); R's survRM2 at tau = 10.
WALTONS_MEDIANS = {"control": 58, "miR-137": 26}
WALTONS_MEDIAN = 56
WALTONS_LOG_RANK = 122.249
WALTONS_RMST = {"horizon": 10, "control": 9.976744, "miR-137": 9.794118, "miR-137 error": 0.123245}
WALTONS_RMST_DIFFERENCE = {"difference": 0.182627, "standard_error": 0.125403, "p": 0.14531}

# lifelines.datasets.load_lung (NCCTG): print(survfit(Surv(time, status) ~ 1, lung)) and ~ sex, and
# survdiff(Surv(time, status) ~ sex, lung) of R's survival; intervals
# there are on the log scale. Restricted means: R's survRM2, male and female, tau = 965.
LUNG_MEDIAN = (310, 285, 363)
LUNG_MEDIANS_BY_SEX = {"1": (270, 212, 310), "2": (426, 348, 550)}
LUNG_ONE_YEAR = (0.409, 0.3447, 0.486)
LUNG_LOG_RANK = {"chi2": 10.326742, "p": 0.0013112, "expected": (91.6, 73.4)}
LUNG_RMST = {"horizon": 965, "1": (324.0484, 22.29794), "2": (455.9041, 32.91742)}
LUNG_RMST_DIFFERENCE = {"difference": 131.8557, "standard_error": 39.7587, "p": 0.00091186}
# survdiff(Surv(time, status) ~ pat.karno + strata(inst), lung): the example of ?survdiff.
LUNG_STRATIFIED_LOG_RANK = {"chi2": 21.4, "df": 7, "p": 0.00326}
# summary(coxph(Surv(time, status) ~ age + sex + ph.ecog, lung)): coefficient and standard error.
LUNG_COX = {"age": (0.011067, 0.009267), "sex": (-0.552612, 0.167739), "ph.ecog": (0.463728, 0.113577)}

# lifelines.datasets.load_rossi: Fox & Weisberg (2018), Cox Proportional-Hazards Regression for Survival
# Data in R.
ROSSI_COX = {
    "fin": (-0.37942, 0.19138),
    "age": (-0.05744, 0.02200),
    "race": (0.31390, 0.30799),
    "wexp": (-0.14980, 0.21222),
    "mar": (-0.43370, 0.38187),
    "paro": (-0.08487, 0.19576),
    "prio": (0.09150, 0.02865),
}
ROSSI_LOG_LIKELIHOOD = -658.748
ROSSI_LIKELIHOOD_RATIO = 33.27

# R's survival::ovarian (Edmunson et al. 1979): futime, fustat, age, resid.ds, rx, ecog.ps.
OVARIAN = [
    (59, 1, 72.3315, 2, 1, 1), (115, 1, 74.4932, 2, 1, 1), (156, 1, 66.4658, 2, 1, 2),
    (421, 0, 53.3644, 2, 2, 1), (431, 1, 50.3397, 2, 1, 1), (448, 0, 56.4301, 1, 1, 2),
    (464, 1, 56.9370, 2, 2, 2), (475, 1, 59.8548, 2, 2, 2), (477, 0, 64.1753, 2, 1, 1),
    (563, 1, 55.1781, 1, 2, 2), (638, 1, 56.7562, 1, 1, 2), (744, 0, 50.1096, 1, 2, 1),
    (769, 0, 59.6301, 2, 2, 2), (770, 0, 57.0521, 2, 2, 1), (803, 0, 39.2712, 1, 1, 1),
    (855, 0, 43.1233, 1, 1, 2), (1040, 0, 38.8932, 2, 1, 2), (1106, 0, 44.6000, 1, 1, 1),
    (1129, 0, 53.9068, 1, 2, 1), (1206, 0, 44.2055, 2, 2, 1), (1227, 0, 59.5890, 1, 2, 2),
    (268, 1, 74.5041, 2, 1, 2), (329, 1, 43.1370, 2, 1, 1), (353, 1, 63.2192, 1, 2, 2),
    (365, 1, 64.4247, 2, 2, 1), (377, 0, 58.3096, 1, 2, 1),
]  # fmt: skip
# survdiff(Surv(futime, fustat) ~ rx, ovarian), the example of ?survdiff.
OVARIAN_LOG_RANK = {"chi2": 1.06, "p": 0.303, "expected": (5.23, 6.77)}
# cox.zph(coxph(Surv(futime, fustat) ~ age + ecog.ps, ovarian)), the example of ?cox.zph, survival 3.x.
OVARIAN_PROPORTIONALITY = {"age": 0.698, "ecog.ps": 2.371, "all": 3.633}

# Newcombe (1998), Statistics in Medicine 17:857-872, table I: Wilson's interval of 81 out of 263.
WILSON_81_OF_263 = (0.2553, 0.3662)
