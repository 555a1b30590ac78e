"""What the zygote imports, once, so that each child starts with it. It must compute nothing."""

import os

# Both tools report home unless told not to, and they look when they are imported.
os.environ.setdefault("NNCF_CI", "1")

import logging  # noqa: E402
import warnings  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what a tool says of its own imports helps nobody here
    import nncf
    import openvino

    import workers.kit.inventory
    import workers.steps.benchmark
    import workers.steps.compress
    import workers.steps.convert
    import workers.steps.evaluate
    import workers.steps.package
    import workers.steps.probe
    import workers.steps.quantize

nncf.set_log_level(logging.WARNING)
VERSIONS = {"openvino": openvino.__version__, "nncf": nncf.__version__}
