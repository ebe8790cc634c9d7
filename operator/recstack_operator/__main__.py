"""``python -m recstack_operator``."""

import sys

from recstack_operator.main import main

if __name__ == "__main__":
    sys.exit(main())
