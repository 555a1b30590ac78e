"""Asks a Hugging Face model where it was made, by torch in f32, and its packages the same by OpenVINO.

A decoder is asked for the logits of a prompt, and of one more token by way of the cache that it has kept;
the original reads prompt and token at once, without any cache. What several networks do together is put
together by hand here, so that optimum-intel, which has exported them, has no part in the check.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.coverage.answers import Answers, Array, Asking, Network
from tests.coverage.architectures import Architecture, Family
from tests.coverage.composed import IMAGE_TOKEN, VOCABULARY

_PROMPT, _ROWS = 12, 2
_PIECES = 16
_TEXT = ("input_ids", "attention_mask")
_ASKED: Mapping[Family, tuple[str, ...]] = {
    Family.DECODER: _TEXT,
    Family.ENCODER: (*_TEXT, "token_type_ids"),
    Family.SEQ2SEQ: (*_TEXT, "decoder_input_ids"),
    Family.VISION: ("pixel_values",),
    Family.SPEECH: ("input_values", "input_features", "decoder_input_ids"),
    Family.MULTIMODAL: (*_TEXT, "pixel_values"),
    Family.DIALOGUE: (*_TEXT, "pixel_values"),
}
ENCODER, DECODER = "openvino_encoder_model.xml", "openvino_decoder_model.xml"


def question(architecture: Architecture) -> dict[str, Array]:
    """Return the seeded inputs of a model by their names in transformers."""
    dice = np.random.default_rng(7)
    paired = architecture.family in {Family.SEQ2SEQ, Family.DECODER, Family.DIALOGUE}
    rows = 1 if paired or architecture.name == "whisper" else _ROWS
    size = architecture.parts.get("vision_config", architecture.values).get("image_size", 64)
    assert isinstance(size, int)
    ids = dice.integers(5, VOCABULARY, (rows, _PROMPT + 1))
    if architecture.family is Family.DIALOGUE:
        ids = np.concatenate([ids[:, :2], np.full((rows, _PIECES), IMAGE_TOKEN), ids[:, 2:]], axis=1)
    made: dict[str, Array] = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
        "pixel_values": dice.standard_normal((rows, 3, size, size)).astype(np.float32),
        "input_values": dice.standard_normal((rows, 4000)).astype(np.float32),
        "input_features": dice.standard_normal((rows, 80, 3000)).astype(np.float32),
        "decoder_input_ids": dice.integers(5, VOCABULARY, (rows, 4)),
    }
    # What a model takes beside these changes its answer: GPT-2 adds the embeddings of token types.
    return {name: made[name] for name in _ASKED[architecture.family]}


def asked(architecture: Architecture, folder: Path) -> tuple[Answers, Asking]:
    """Return what the original says, and what asks a package the same."""
    if architecture.family is Family.DIFFUSION:
        noise = _noise()
        return _denoised_by_torch(folder, noise), lambda package: _denoised(package, noise)
    asking = question(architecture)
    said = _by_torch(architecture, folder, asking)
    if architecture.family is Family.DECODER:
        split = {"prompt": said["logits"][:, :-1], "next": said["logits"][:, -1:]}
        return split, lambda package: _continued(package, asking)
    if architecture.family is Family.DIALOGUE:
        split = {"prompt": said["logits"][:, :-1], "next": said["logits"][:, -1:]}
        return split, lambda package: _shown(package, asking)
    if architecture.family is Family.SEQ2SEQ or architecture.name == "whisper":
        split = {
            "encoded": said["encoder_last_hidden_state"],
            "prompt": said["logits"][:, :-1],
            "next": said["logits"][:, -1:],
        }
        return split, lambda package: _paired(package, asking)
    return said, lambda package: _alone(package, asking, said)


def _by_torch(architecture: Architecture, folder: Path, asking: Mapping[str, Array]) -> Answers:
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    model = getattr(transformers, architecture.model).from_pretrained(folder, local_files_only=True).eval()
    taken = inspect.signature(model.forward).parameters
    wanted = {name: torch.from_numpy(value) for name, value in asking.items() if name in taken}
    with torch.no_grad():
        return dict(_flat(model(**wanted)))


def _flat(output: Any) -> Iterator[tuple[str, Array]]:
    """Yield the tensors of a model's output by name; those inside come after those outside."""
    inner: dict[str, Array] = {}
    for name, value in output.items():
        if hasattr(value, "items"):
            inner |= dict(_flat(value))
        elif hasattr(value, "numpy"):
            yield name, value.numpy()
    yield from inner.items()


def _alone(package: Path, asking: Mapping[str, Array], original: Answers) -> Answers:
    """Ask the one network there is; of an output's names the original's is taken."""
    said = Network(package / "openvino_model.xml")(**asking)
    return {name: value for name, value in said.items() if name in original} or said


def _steps(network: Network, inputs: Mapping[str, Array], cut: Mapping[str, Array]) -> Answers:
    """Feed all but the last token of what is ``cut``, then the last, and return the logits of both."""
    length = next(iter(cut.values())).shape[1]
    rows = next(iter(cut.values())).shape[0]
    found = {}
    for name, part in (("prompt", slice(0, length - 1)), ("next", slice(length - 1, length))):
        positions = np.broadcast_to(np.arange(length)[part], (rows, len(range(*part.indices(length)))))
        found[name] = network(
            **inputs,
            **{key: value[:, part] for key, value in cut.items()},
            position_ids=positions,
            cache_position=np.arange(length)[part],
            beam_idx=np.arange(rows),
            attention_mask=np.ones((rows, part.stop), np.int64),
            decoder_attention_mask=np.ones((rows, part.stop), np.int64),
        )["logits"]
    return found


def _continued(package: Path, asking: Mapping[str, Array]) -> Answers:
    return _steps(Network(package / "openvino_model.xml"), {}, {"input_ids": asking["input_ids"]})


def _paired(package: Path, asking: Mapping[str, Array]) -> Answers:
    encoded = Network(package / ENCODER)(**asking)["last_hidden_state"]
    heard = {
        "encoder_hidden_states": encoded,
        "encoder_outputs": encoded,
        "encoder_attention_mask": np.ones(encoded.shape[:2], np.int64),
    }
    ids = asking["decoder_input_ids"]
    said = _steps(Network(package / DECODER), heard, {"input_ids": ids, "decoder_input_ids": ids})
    return {"encoded": encoded, **said}


def _shown(package: Path, asking: Mapping[str, Array]) -> Answers:
    """Put the embeddings of an image in the places of its tokens, as LLaVA does."""
    ids = asking["input_ids"]
    embedded = Network(package / "openvino_text_embeddings_model.xml")(input=ids)["inputs_embeds"]
    seen = Network(package / "openvino_vision_embeddings_model.xml")(**asking)["last_hidden_state"]
    embedded[ids == IMAGE_TOKEN] = seen.reshape(-1, seen.shape[-1])
    language = Network(package / "openvino_language_model.xml")
    return _steps(language, {}, {"inputs_embeds": embedded})


def _noise() -> dict[str, Array]:
    dice = np.random.default_rng(7)
    return {
        "input_ids": dice.integers(5, VOCABULARY, (_ROWS, 64)),
        "sample": dice.standard_normal((_ROWS, 4, 8, 8)).astype(np.float32),
        "timestep": np.array([3]),
        "image": dice.standard_normal((_ROWS, 3, 16, 16)).astype(np.float32),
    }


def _denoised_by_torch(folder: Path, noise: Mapping[str, Array]) -> Answers:
    """Return what each network of a pipeline says to what the one before it has said."""
    torch, diffusers = (importlib.import_module(name) for name in ("torch", "diffusers"))
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    given = {name: torch.from_numpy(value) for name, value in noise.items()}
    with torch.no_grad():
        text = pipeline.text_encoder(given["input_ids"]).last_hidden_state
        latent = pipeline.unet(given["sample"], given["timestep"], text).sample
        found = {
            "text": text,
            "latent": latent,
            "image": pipeline.vae.decode(latent).sample,
            "encoded": pipeline.vae.encode(given["image"]).latent_dist.parameters,
        }
    return {name: value.numpy() for name, value in found.items()}


def _denoised(package: Path, noise: Mapping[str, Array]) -> Answers:
    parts = {
        name: Network(package / name / "openvino_model.xml")
        for name in ("text_encoder", "unet", "vae_decoder", "vae_encoder")
    }
    text = parts["text_encoder"](input_ids=noise["input_ids"])["last_hidden_state"]
    latent = parts["unet"](sample=noise["sample"], timestep=noise["timestep"], encoder_hidden_states=text)
    return {
        "text": text,
        "latent": latent["out_sample"],
        "image": parts["vae_decoder"](latent_sample=latent["out_sample"])["sample"],
        "encoded": parts["vae_encoder"](sample=noise["image"])["latent_parameters"],
    }
