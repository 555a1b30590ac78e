"""Configurations as they are shipped: with comments of both kinds, trailing commas, and typing errors."""

import pytest

from ovfarm.errors import InvalidInput
from ovfarm.translation import translate
from tests.core.test_translation import NNCF, POT, quantize

# As POT's documentation has it.
SHIPPED = r"""/* This configuration file is the fastest way to get started.
   "compression": { is not yet here */
{
    /* Model parameters */
    "model": {
        "model_name": "model_name", // Model name
        "model": "<MODEL_PATH>/*.xml", // Path to model (.xml format)
        "weights": "https://host/model.bin" /* not a comment: the two slashes */
    },
    "compression": {
        "target_device": "ANY", // Target device, "the specificity" of which is taken into account
        "algorithms": [
            {
                "name": "DefaultQuantization", // Optimization algorithm name
                "params": {
                    // A preset is a collection of parameters
                    "preset": "mixed",
                    "stat_subset_size": 200, // Size of the subset
                    "ignored": {"scope": ["a \" // quoted \\", "b/*c*/",]},
                },
            },
        ]
    },
}
"""


def test_a_configuration_as_it_is_shipped_is_read() -> None:
    step = quantize(SHIPPED)
    assert (step.preset, step.subset_size) == ("mixed", 200)
    assert step.ignored_scope.names == ('a " // quoted \\', "b/*c*/")


def test_comments_change_nothing() -> None:
    assert translate(NNCF) == translate(NNCF.replace(",", ", // why\n").replace(":", ": /* so */"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  "compression": {\n    "algorithm" "quantization"\n  }\n}', "JSON: line 3 column 17: Expect"),
        ('// c\n{"compression": /* a\nb */ {"algorithm": "quantization"}', "JSON: line 3 column 35: Expect"),
        ('{"compression": {"algorithm": "quantization}}', "JSON: line 1 column 31: Unterminated string"),
        ("[" * 5 + '{"compression": 1}', None),
        ('{"a": ' + "[" * 100_000, "JSON: it is nested too deeply"),
        (POT.replace("preset: performance", "preset: [performance"), "YAML: line 13 column 25:"),
    ],
)  # fmt: skip
def test_a_typing_error_is_told_with_its_place(text: str, words: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        translate(text)
    assert (words or "neither an NNCF nor a POT configuration") in str(refused.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ['{"' + '\\"' * 200_000, "{" + "/*" * 200_000, "OVConfig( " * 20_000])
def test_what_is_never_closed_is_tried_once(text: str) -> None:
    with pytest.raises(InvalidInput):
        translate(text)
