"""`python -m simulators.issuer`: the options of the simulated identity provider."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

from simulators.issuer import people
from simulators.issuer.api import Settings, make_app
from simulators.serving import common_options, seconds, serve


def main() -> None:
    """Read the options and serve until told to stop."""
    parser = ArgumentParser(
        prog="simulators.issuer", description=__doc__, formatter_class=ArgumentDefaultsHelpFormatter
    )
    common_options(parser, port=8603)
    parser.add_argument(
        "--issuer", metavar="URL", help="its own address as browsers and tokens have it; without it: host and port"
    )
    parser.add_argument("--client-id", default="salur-console", help="the one program that officers sign in to")
    parser.add_argument("--client-secret", default="issuer-secret", help="what that program proves itself with")
    parser.add_argument(
        "--redirect", action="append", default=[], metavar="URL", help="where it may send officers back to; repeatable"
    )
    parser.add_argument("--audience", default="salur", help="`aud` of access tokens")
    parser.add_argument("--officers", type=Path, default=people.OFFICERS, metavar="FILE", help="JSON: who there is")
    parser.add_argument("--access-s", type=seconds, default=300.0, help="life of an access token")
    parser.add_argument("--refresh-s", type=seconds, default=8 * 3600.0, help="life of a sign-in")
    given = parser.parse_args()
    try:
        settings = Settings(
            data=given.data,
            issuer=given.issuer,
            client_id=given.client_id,
            client_secret=given.client_secret,
            redirects=frozenset(given.redirect),
            audience=given.audience,
            officers=people.load(given.officers),
            access_s=int(given.access_s),
            refresh_s=int(given.refresh_s),
        )
    except ValueError as error:
        parser.error(str(error))
    serve("issuer simulator", lambda: make_app(settings), given.host, given.port, given.data)


if __name__ == "__main__":
    main()
