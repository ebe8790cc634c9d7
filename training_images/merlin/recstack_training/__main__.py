"""``python -m recstack_training <step>``."""

import sys

from recstack_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
