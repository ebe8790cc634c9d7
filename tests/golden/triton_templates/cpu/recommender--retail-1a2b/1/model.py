"""A recommendation; the code is the image's, the files beside this one decide what it serves."""

import os
import sys

# The backend starts Python isolated: without this a PYTHONPATH does not count. The image needs none.
sys.path.extend(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
from recstack_triton_templates import triton_model

TritonPythonModel = triton_model.TritonPythonModel
