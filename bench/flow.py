"""How fast the whole flow is: `python -m bench.flow [FAMILIES]`, on a stack of its own in a temporary folder.

The figures are those of `salur report`. A ratio means something only within one run on an otherwise idle machine.
"""

import json
import os
import subprocess
import sys
import tempfile

FAMILIES = "20000"


def main() -> int:
    families = sys.argv[1] if len(sys.argv) > 1 else FAMILIES
    with tempfile.TemporaryDirectory(prefix="salur-bench-") as home:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SALUR_")} | {"SALUR_HOME": home}
        salur = [sys.executable, "-m", "salur"]
        try:
            ran = subprocess.run([*salur, "demo", "--families", families], env=environment, stdout=subprocess.DEVNULL)
            report = subprocess.run([*salur, "report", "--json"], env=environment, capture_output=True, check=False)
            print(json.dumps(json.loads(report.stdout)["rates"], indent=1))
        finally:
            subprocess.run([*salur, "down"], env=environment, stdout=subprocess.DEVNULL, check=False)
    return ran.returncode


sys.exit(main())
