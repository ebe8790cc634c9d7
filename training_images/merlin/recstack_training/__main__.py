"""``python -m recstack_training <step>``."""

import os
import sys

from recstack_training.cli import main

HASH_SEED = "PYTHONHASHSEED"

if __name__ == "__main__":
    if os.environ.get(HASH_SEED) != "0":
        # NVTabular and tf2onnx walk over sets: without this no two runs give the same bytes.
        os.environ[HASH_SEED] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "recstack_training", *sys.argv[1:]])
    if sys.argv[1:2] in (["features"], ["check"]):
        # Tables need no TensorFlow, but Merlin imports it where it finds it: 7 s for nothing.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    sys.exit(main())
