"""A recommendation; the code is the image's, the files beside this one decide what it serves."""

import os
import sys

# The backend starts Python isolated: without this its PYTHONPATH does not count.
sys.path.extend(os.environ.get("PYTHONPATH", "").split(os.pathsep))
from recstack_triton_templates import low_priority

TritonPythonModel = low_priority.module("recstack_triton_templates.triton_model").TritonPythonModel
