"""`python -m simulators.carrier`: the options of the simulated carrier."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

from simulators.carrier import templates
from simulators.carrier.api import Settings, make_app
from simulators.carrier.behaviour import Rates
from simulators.serving import common_options, seconds, serve, share


def main() -> None:
    """Read the options and serve until told to stop."""
    parser = ArgumentParser(
        prog="simulators.carrier", description=__doc__, formatter_class=ArgumentDefaultsHelpFormatter
    )
    common_options(parser, port=8602)
    usual = Rates()
    parser.add_argument("--token", default="carrier-token", help="what callers send as `Authorization: Bearer TOKEN`")
    parser.add_argument("--templates", type=Path, metavar="FILE", help="JSON: name -> language -> body with {{1}}")
    parser.add_argument("--webhook", metavar="URL", help="where statuses and replies are posted; without it they wait")
    parser.add_argument("--secret", default="carrier-secret", help="key of X-Hub-Signature-256")
    parser.add_argument("--retry-max-s", type=seconds, default=5.0, help="longest pause before a webhook's next try")
    parser.add_argument("--rate", type=seconds, default=1000.0, help="messages a second, more get 130429; 0: no limit")
    parser.add_argument(
        "--pair-every-s",
        type=seconds,
        default=0.0,
        help="one message per so many seconds to one person after a burst of 45 (WhatsApp: 6), more get 131056; 0: off",
    )
    parser.add_argument("--timeout", type=share, default=usual.timeout, help="share accepted without an answer")
    parser.add_argument("--hang-s", type=seconds, default=30.0, help="how long a silent send keeps its connection")
    parser.add_argument(
        "--not-on-whatsapp",
        type=share,
        default=usual.not_on_whatsapp,
        help="share of phones: half answer 131026 at once, half as a `failed` status",
    )
    parser.add_argument("--failed", type=share, default=usual.failed, help="share accepted that fail later")
    parser.add_argument("--trouble", type=share, default=usual.trouble, help="share of sends answered 131000, unsent")
    parser.add_argument("--dropped", type=share, default=usual.dropped, help="share of sends cut before acceptance")
    parser.add_argument("--read", type=share, default=usual.read, help="share of delivered messages that are read")
    parser.add_argument("--repeated", type=share, default=usual.repeated, help="share with a status posted twice")
    parser.add_argument("--disordered", type=share, default=usual.disordered, help="share told out of order")
    parser.add_argument("--pace", type=seconds, default=usual.pace, help="factor of all delays of delivery")
    parser.add_argument("--phone-number-id", default="106540352242922", help="business number for first replies")
    given = parser.parse_args()
    try:
        settings = Settings(
            data=given.data,
            seed=given.seed,
            token=given.token,
            rates=Rates(
                timeout=given.timeout,
                not_on_whatsapp=given.not_on_whatsapp,
                failed=given.failed,
                trouble=given.trouble,
                dropped=given.dropped,
                read=given.read,
                repeated=given.repeated,
                disordered=given.disordered,
                pace=given.pace,
            ),
            templates=templates.load(given.templates),
            rate=given.rate,
            pair_every_s=given.pair_every_s,
            hang_s=given.hang_s,
            webhook=given.webhook,
            secret=given.secret,
            retry_max_s=given.retry_max_s,
            phone_number_id=given.phone_number_id,
        )
    except ValueError as error:
        parser.error(str(error))
    serve("carrier simulator", lambda: make_app(settings), given.host, given.port, given.data)


if __name__ == "__main__":
    main()
