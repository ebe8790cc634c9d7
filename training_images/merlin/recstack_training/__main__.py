"""``python -m recstack_training <step>``."""

import sys

from recstack_training.cli import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["features"]:
        # Tables need no TensorFlow, but Merlin imports it where it finds it: 7 s for nothing.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    sys.exit(main())
