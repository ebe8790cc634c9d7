"""A stage of a recommendation, the one that the model is named after; the code is the image's."""

import os
import sys

# The backend starts Python isolated: without this its PYTHONPATH does not count.
sys.path.extend(os.environ.get("PYTHONPATH", "").split(os.pathsep))
from recstack_triton_templates import low_priority

TritonPythonModel = low_priority.module("recstack_triton_templates.triton_part").TritonPythonModel
