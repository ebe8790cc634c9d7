"""``python -m recstack_demo``."""

import sys

from recstack_demo.main import main

sys.exit(main())
