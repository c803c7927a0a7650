"""`python -m simulators.bank`: the options of the simulated bank."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser

from simulators.bank.api import Settings, make_app
from simulators.bank.behaviour import Rates
from simulators.serving import common_options, seconds, serve, share


def main() -> None:
    """Read the options and serve until told to stop."""
    parser = ArgumentParser(prog="simulators.bank", description=__doc__, formatter_class=ArgumentDefaultsHelpFormatter)
    common_options(parser, port=8601)
    usual = Rates()
    parser.add_argument("--token", default="bank-token", help="what callers send as `Authorization: Bearer TOKEN`")
    parser.add_argument(
        "--refused", type=share, default=usual.refused, help="share refused: a third each closed, unknown, dormant"
    )
    parser.add_argument("--delayed", type=share, default=usual.delayed, help="share answered `in progress` first")
    parser.add_argument("--delay-s", type=seconds, default=usual.delay_s, help="longest delay of such a one")
    parser.add_argument("--timeout", type=share, default=usual.timeout, help="share carried out, answered `time-out`")
    parser.add_argument("--late", type=share, default=usual.late, help="share paid late, after `not found`")
    parser.add_argument("--late-s", type=seconds, default=usual.late_s, help="latest such payment after the call")
    parser.add_argument("--cut", type=share, default=usual.cut, help="share of bulk calls without any answer")
    parser.add_argument("--hang-s", type=seconds, default=30.0, help="how long a silent call keeps its connection")
    parser.add_argument(
        "--window-s", type=seconds, default=20.0, help="after this long, `07` not found means never carried out"
    )
    parser.add_argument(
        "--timestamp-tolerance-s", type=seconds, default=5.0, help="a call whose X-TIMESTAMP is older is refused"
    )
    parser.add_argument("--rate", type=seconds, default=0.0, help="transfers a second, more get 4291800; 0: no limit")
    parser.add_argument("--bulk-max", type=int, default=1000, help="most transfers or references in one call")
    given = parser.parse_args()
    try:
        settings = Settings(
            data=given.data,
            seed=given.seed,
            token=given.token,
            rates=Rates(
                given.refused, given.delayed, given.timeout, given.late, given.cut, given.delay_s, given.late_s
            ),
            window_s=given.window_s,
            hang_s=given.hang_s,
            timestamp_tolerance_s=given.timestamp_tolerance_s,
            rate=given.rate,
            bulk_max=given.bulk_max,
        )
    except ValueError as error:
        parser.error(str(error))
    serve("bank simulator", lambda: make_app(settings), given.host, given.port, given.data)


if __name__ == "__main__":
    main()
