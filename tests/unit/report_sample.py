"""A report with something in every part, for the tests of how reports are shown."""

from datetime import UTC, datetime

from salur.report.document import (
    BankBooks,
    CarrierBooks,
    CycleMoney,
    DefectClass,
    Defects,
    Difference,
    Flow,
    Funnel,
    Invariant,
    Latency,
    Messages,
    MessageState,
    Money,
    ProcessEffort,
    ProgrammeFunnel,
    Rates,
    Report,
    Second,
    StageRate,
    SubmissionFunnel,
    Title,
)
from salur.report.make import ORDER


def sample() -> Report:
    """Everything holds."""
    took = Latency(count=900, p50=120.0, p90=480.0, p99=9_800.0, longest=20_000.0)
    cycle = CycleMoney(
        cycle="sembako-2026-11",
        programme="sembako",
        period="2026-11",
        mode="continuous",
        state="open",
        budget_idr=200_000_000,
        available_idr=1_000_000,
        reserved_idr=2_000_000,
        in_transit_idr=3_000_000,
        paid_idr=194_000_000,
        returned_idr=0,
        orders=1_010,
        confirmed=970,
        failed=15,
        queued=40,
        failed_by_code={"account_closed": 15},
    )
    programme = ProgrammeFunnel(
        programme="sembako",
        title=Title(id="Bantuan Sembako", en="Sembako food assistance"),
        decided=1_500,
        eligible=1_050,
        eligible_idr=210_000_000,
        ineligible_by_reason={"decile_above_limit": 400, "excluded_by_other_agency": 50},
        cycle="sembako-2026-11",
        queued=40,
        ordered=10,
        at_the_bank=15,
        confirmed=970,
        failed=15,
    )
    classes = [
        DefectClass(defect="invalid_nik", kind="number", planted=40, found=40, kept_idr=8_000_000),
        DefectClass(defect="spelling_variant", kind="double", planted=6, missed=6, kept_idr=1_200_000),
        DefectClass(defect="deceased", kind="flag", planted=17, found=16, waiting=1, kept_idr=3_000_000),
        DefectClass(defect="phone_malformed", kind="form", planted=4, found=4, false_alarm=1),
    ]
    return Report(
        invariants=[Invariant(name=name) for name in ORDER],
        funnel=Funnel(
            submissions=[
                SubmissionFunnel(
                    kind="registration",
                    sent=1_600,
                    waiting=3,
                    answered=1_597,
                    answers={"registered new": 1_500, "rejected": 90, "unchanged older": 7},
                    rejected_by_code={"nik_format": 50, "kk_format": 40},
                )
            ],
            recipients=1_500,
            families=1_480,
            flagged=50,
            eligible=1_050,
            paid=970,
            programmes=[programme],
        ),
        defects=Defects(
            families=1_500,
            seed=7,
            classes=classes,
            planted=67,
            found=60,
            missed=6,
            waiting=1,
            false_alarm=1,
            kept_idr=12_200_000,
            paid_idr=400_000,
            programmes=["sembako"],
        ),
        money=Money(
            cycles=[cycle],
            bank=BankBooks(
                lines=972,
                amount_idr=194_400_000,
                ledger_lines=970,
                ledger_idr=194_000_000,
                equal=970,
                in_transit=2,
                in_transit_idr=400_000,
            ),
        ),
        messages=Messages(
            states=[
                MessageState(channel="whatsapp", kind="decision", state="delivered", messages=900, got=900),
                MessageState(channel="whatsapp", kind="payout", state="waiting", messages=70, got=0),
            ],
            by_state={"delivered": 900, "waiting": 70},
            failed_by_code={"not_on_whatsapp": 3},
            carrier=CarrierBooks(got=900, known=900),
        ),
        rates=Rates(
            reported_at=datetime(2026, 11, 24, 8, 0, tzinfo=UTC),
            seconds=4.2,
            stages=[StageRate(stage="registry", from_to="a → b", events=1_600, per_s=2_100, latency_ms=took)],
            registered_to_confirmed=Flow(
                recipients=1_500,
                payouts=970,
                registering_s=0.7,
                until_99_percent_confirmed_s=2.5,
                recipients_per_s=600,
                latency_ms=took,
                by_programme={"sembako": took},
            ),
            over_time=[
                Second(at_s=n / 4, registered=1_000, decided=3_000 - n, ordered=n * 10, confirmed=n, told=0)
                for n in range(12)
            ],
            cpu=[
                ProcessEffort(process="kafka", instance=0, cpu_s=30, share=0.6, us_per_recipient=900),
                ProcessEffort(process="registry", instance=0, cpu_s=20, share=0.4, memory_bytes=80_000_000),
            ],
        ),
    )


def broken() -> Report:
    """One invariant is broken, one could not be checked."""
    report = sample()
    by_name = {one.name: one for one in report.invariants}
    for number in range(25):
        by_name["ledger_equals_bank"].wrong(f"REF{number:013d}: <the amounts differ>; ledger Rp200,000, bank Rp1")
    by_name["digests_right"].unchecked("the topics were not read (--no-audit)")
    assert report.money.bank
    report.money.bank.differences = 25
    report.money.bank.listed = [
        Difference(reference="REF0000000000000", ledger_idr=200_000, bank_idr=1, what="the amounts differ")
    ]
    return report
