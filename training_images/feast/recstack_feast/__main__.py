"""``python -m recstack_feast <command>...``."""

import sys

from recstack_feast.cli import main

if __name__ == "__main__":
    sys.exit(main())
