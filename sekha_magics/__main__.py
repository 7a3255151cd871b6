"""`python -m sekha_magics` is the command `sekha`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
