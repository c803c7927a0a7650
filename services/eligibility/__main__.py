"""python -m services.eligibility"""

from functools import partial

from services.eligibility.service import build
from services.eligibility.settings import EligibilitySettings
from shared.privacy.keyring import Keyring
from shared.runtime.service import run

settings = EligibilitySettings()
keyring = Keyring.load(settings.keys, only=("eligibility", "particulars", "recovery"))
run("eligibility", settings, keyring, partial(build, settings=settings))
