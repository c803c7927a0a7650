"""`make bench`: each measurement in turn; `python -m bench flow` runs one of them alone."""

import subprocess
import sys

BENCHES = ("stage", "eligibility", "payout", "flow")


def main() -> int:
    wanted = sys.argv[1:] or BENCHES
    if unknown := set(wanted) - set(BENCHES):
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted:
        print(f"── {name} ──", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}"]).returncode
    return failed


sys.exit(main())
