"""What the zygote imports, once, so that each child starts with it. It must compute nothing."""

import os

# Both tools report home unless told not to, and they look when they are imported.
os.environ.setdefault("NNCF_CI", "1")

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what a tool says of its own imports helps nobody here
    import nncf
    import openvino


nncf.set_log_level(logging.WARNING)
VERSIONS = {"openvino": openvino.__version__, "nncf": nncf.__version__}
