"""A stage of a recommendation, the one that the model is named after; the code is the image's."""

import os
import sys

# The backend starts Python isolated: without this a PYTHONPATH does not count. The image needs none.
sys.path.extend(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
from recstack_triton_templates import triton_part

TritonPythonModel = triton_part.TritonPythonModel
