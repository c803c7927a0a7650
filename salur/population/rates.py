"""Every rate and size of the generated population, in one place. `docs/reference/population.md` explains them.

The audits (domain.md) counted these defects among the about 97 million people of DTKS in 2020. People-level flags are
planted near the audits' shares; what a registration form would partly catch (NIK, No. KK) is planted lower than the
audits' 11 and 17 percent, and doubles higher than their 0.1 percent, so that small runs show every class.
"""

from typing import Final, Literal

VERSION: Final = 1
"""Version of the generator: same version, seed, families and reference date give the same bytes."""

Answer = Literal["registered", "unchanged", "rejected"]

INTAKE: Final[dict[str, float]] = {
    "invalid_nik": 0.040,
    "invalid_kk": 0.030,
    "duplicate_identical": 0.006,
    "duplicate_changed": 0.008,
    "duplicate_stale": 0.004,
    "spelling_variant": 0.006,
    "village_unknown": 0.003,
    "name_empty": 0.003,
    "phone_malformed": 0.004,
    "account_malformed": 0.004,
}
"""Share of families whose (first) applicant's registration has this defect; a family has at most one of them."""

FIRST_FLAG: Final[dict[str, float]] = {
    "deceased": 0.017,
    "civil_servant": 0.006,
    "certified_teacher": 0.003,
    "company_owner": 0.003,
    "income_above_minimum_wage": 0.040,
    "village_official": 0.010,
    "electricity_900va": 0.004,
    "car_owner": 0.015,
}
"""Share of flaggable people with this first flag. The codes are those of `salur flag`, in BPK's order."""

SECOND_FLAG: Final = 0.40
"""Share of flagged people who have a second one, one of `SECOND_FLAGS` other than the first, evenly."""

SECOND_FLAGS: Final = ("income_above_minimum_wage", "electricity_900va", "car_owner")

FLAG_WITHDRAWN: Final = 0.006
"""Share of flaggable people on whom one flag was raised and later withdrawn, with none standing."""

COUPLE: Final = 0.85
"""Share of families of two and more with head and spouse."""

BOTH_REGISTER: Final = 0.026
"""Share of couples of whom both register (about 2% of families): two recipients of one family card."""

BORN_ELSEWHERE: Final = 0.08
"""Share of NIKs issued outside Polman."""
ISSUED_AT_HOME: Final = 0.9
"""Share of the other NIKs, and of family cards, with the district of the home; the rest has any of Polman."""
JAVANESE_NAME: Final = 0.4
"""Share of names in the districts of transmigration (`places.JAVANESE`)."""
HOLDER_IN_CAPITALS: Final = 0.7
PHONE: Final = 0.65
ACCOUNT_NONE: Final = 0.03
ADDRESS: Final = 0.80
PREGNANT: Final = 0.07
"""Share of wives and woman heads aged 18 to 42 who are pregnant."""
SEVERE_DISABILITY: Final = 0.012
"""Share of all members."""
SCHOOL: Final = {"sd": (7, 12, 0.97), "smp": (13, 15, 0.88), "sma": (16, 18, 0.72)}
"""From age, to age, share of children of that age who go."""
ELDER_IN_HOUSE: Final = 0.15
"""Share of families of three and more with a head under 60 where a parent of a couple lives along."""

SIZES: Final = {1: 8, 2: 15, 3: 22, 4: 25, 5: 16, 6: 8, 7: 4, 8: 2}
HEAD_AGES: Final = {20: 10, 30: 25, 40: 26, 50: 18, 60: 13, 70: 8}
"""Weight of the decade that starts at this age."""
DECILES: Final = {1: 18, 2: 18, 3: 16, 4: 14, 5: 11, 6: 8, 7: 6, 8: 4, 9: 3, 10: 2}
INCOMES_IDR: Final = {
    1: (350_000, 700_000),
    2: (600_000, 1_000_000),
    3: (900_000, 1_400_000),
    4: (1_200_000, 1_800_000),
    5: (1_600_000, 2_300_000),
    6: (2_100_000, 2_900_000),
    7: (2_700_000, 3_600_000),
    8: (3_400_000, 4_800_000),
    9: (4_500_000, 7_000_000),
    10: (6_500_000, 14_000_000),
}
"""Declared income of a month by decile, from and to, in steps of Rp50,000."""
BANKS: Final = {"002": 70, "009": 14, "008": 12, "200": 4}
LANGUAGES: Final = {"id": 970, "": 25, "en": 5}

ARRIVAL_BLOCK: Final = 2_000
"""A registration arrives up to this many families later than its turn: the shuffle of arrival, and its memory."""
ARRIVAL_FAR: Final = 20_000
"""Half of the second submissions arrive up to this many families after the first, the other half within a block."""


def flag_rate(flag: str) -> float:
    """Expected share of flaggable people on whom `flag` stands, as first or second one."""
    second = 0.0
    if flag in SECOND_FLAGS:
        for first, rate in FIRST_FLAG.items():
            if first != flag:
                second += rate * SECOND_FLAG / (len(SECOND_FLAGS) - (first in SECOND_FLAGS))
    return FIRST_FLAG[flag] + second
