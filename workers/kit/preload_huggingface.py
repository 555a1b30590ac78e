"""What the zygote of a node with the Hugging Face toolkit imports, once. It must compute nothing."""

import os

# Read when they are imported: nothing is fetched, and no thread pool is there when a child is forked.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import importlib
import logging
import warnings

from workers.kit.preload import VERSIONS as _CORE

# The second half are those that an export imports by and by; a child would pay for each of them again.
_MODULES = (
    "torch",
    "transformers",
    "optimum.exporters.openvino.__main__",
    "optimum.intel.openvino",
    "openvino_tokenizers.convert_tokenizer",
    "openvino.frontend.pytorch.patch_model",
    "openvino.frontend.pytorch.ts_decoder",
    "openvino.frontend.pytorch.fx_decoder",
    "openvino_tokenizers.hf_parser",
    "nncf.torch",
    "nncf.openvino.quantization.quantize_model",
    "nncf.openvino.optimized_functions",
    "nncf.quantization.algorithms.weight_compression.openvino_backend",
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what a tool says of its own imports helps nobody here
    for _name in _MODULES:
        importlib.import_module(_name)

logging.getLogger("nncf").setLevel(logging.WARNING)
VERSIONS = {**_CORE, "transformers": importlib.import_module("transformers").__version__}
