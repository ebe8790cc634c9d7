"""A recommendation; the code is the image's, the files beside this one decide what it serves."""

from recstack_triton_templates.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
