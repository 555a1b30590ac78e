"""Tiny models of many architectures with random weights, as ``save_pretrained`` writes them.

What is here is data: transformers and torch are imported when a model is built, never at collection.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.coverage import composed

Value = int | float | str | bool | None | tuple[int, ...] | list[int] | Mapping[str, "Value"]
Values = Mapping[str, Value]


class Family(StrEnum):
    """What sort of model it is; it decides how its outputs are compared."""

    DECODER = "decoder"
    ENCODER = "encoder"
    SEQ2SEQ = "seq2seq"
    VISION = "vision"
    SPEECH = "speech"
    MULTIMODAL = "multimodal"
    DIALOGUE = "vision-language"
    DIFFUSION = "diffusion"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture: its class and configuration in transformers, and what sets it apart."""

    name: str
    family: Family
    model: str
    config: str
    values: Values
    tokenizer: bool = False
    parts: Mapping[str, Values] = field(default_factory=dict)


_VOCABULARY = composed.VOCABULARY
_WORDS = Path(__file__)
_SIZES: Values = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
_GROUPED: Values = {**_SIZES, "num_key_value_heads": 2}
_PAIRED: Values = {
    "vocab_size": _VOCABULARY,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 128,
    "decoder_start_token_id": 1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
_PATCHED: Values = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
_HEARD: Values = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
}
_READER: Values = {**_SIZES, "max_position_embeddings": 64}


def _decoder(name: str, stem: str, values: Values, config: str | None = None) -> Architecture:
    return Architecture(
        name, Family.DECODER, f"{stem}ForCausalLM", config or f"{stem}Config", values, tokenizer=True
    )


def _encoder(name: str, stem: str, head: str, values: Values) -> Architecture:
    return Architecture(name, Family.ENCODER, f"{stem}{head}", f"{stem}Config", values, tokenizer=True)


def _paired(name: str, model: str, config: str, values: Values) -> Architecture:
    return Architecture(name, Family.SEQ2SEQ, model, config, values, tokenizer=True)


def _vision(name: str, stem: str, values: Values, head: str = "ForImageClassification") -> Architecture:
    return Architecture(name, Family.VISION, f"{stem}{head}", f"{stem}Config", values)


ARCHITECTURES: tuple[Architecture, ...] = (
    _decoder("llama", "Llama", _GROUPED),
    _decoder("mistral", "Mistral", {**_GROUPED, "sliding_window": None}),
    _decoder("mixtral", "Mixtral", {**_GROUPED, "num_local_experts": 4}),
    _decoder("qwen2", "Qwen2", _GROUPED),
    _decoder("qwen3", "Qwen3", {**_GROUPED, "head_dim": 16}),
    _decoder("phi", "Phi", _SIZES),
    _decoder("phi3", "Phi3", _GROUPED),
    _decoder("gpt-neox", "GPTNeoX", _SIZES),
    _decoder("olmo", "Olmo", _GROUPED),
    _decoder("granite", "Granite", _GROUPED),
    _decoder("starcoder2", "Starcoder2", _GROUPED),
    _decoder("stablelm", "StableLm", _GROUPED),
    _decoder("bloom", "Bloom", {"vocab_size": _VOCABULARY, "hidden_size": 64, "n_layer": 2, "n_head": 4}),
    _decoder(
        "falcon",
        "Falcon",
        {"vocab_size": _VOCABULARY, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    ),
    _decoder(
        "opt",
        "OPT",
        {
            "vocab_size": _VOCABULARY,
            "hidden_size": 64,
            "ffn_dim": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 128,
            "word_embed_proj_dim": 64,
            "pad_token_id": 3,
        },
    ),
    Architecture(
        "gpt2",
        Family.DECODER,
        "GPT2LMHeadModel",
        "GPT2Config",
        {
            "vocab_size": _VOCABULARY,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 128,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        tokenizer=True,
    ),
    _encoder("bert", "Bert", "ForMaskedLM", _SIZES),
    _encoder("roberta", "Roberta", "ForTokenClassification", _SIZES),
    _encoder("albert", "Albert", "ForQuestionAnswering", {**_SIZES, "embedding_size": 32}),
    _encoder("electra", "Electra", "Model", {**_SIZES, "embedding_size": 64}),
    _encoder("mpnet", "MPNet", "Model", _SIZES),
    _encoder("deberta-v2", "DebertaV2", "ForSequenceClassification", _SIZES),
    _encoder(
        "distilbert",
        "DistilBert",
        "ForSequenceClassification",
        {
            "vocab_size": _VOCABULARY,
            "dim": 64,
            "hidden_dim": 128,
            "n_layers": 2,
            "n_heads": 4,
            "max_position_embeddings": 128,
        },
    ),
    _paired(
        "t5",
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": _VOCABULARY,
            "d_model": 64,
            "d_kv": 16,
            "d_ff": 128,
            "num_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": 3,
        },
    ),
    _paired("bart", "BartForConditionalGeneration", "BartConfig", _PAIRED),
    _vision("vit", "ViT", _PATCHED),
    _vision("deit", "DeiT", _PATCHED),
    _vision("resnet", "ResNet", {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1]}),
    _vision(
        "convnext",
        "ConvNext",
        {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1], "image_size": 64},
    ),
    _vision(
        "swin",
        "Swin",
        {
            "image_size": 32,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
        },
    ),
    _vision(
        "segformer",
        "Segformer",
        {
            "hidden_sizes": [16, 32, 48, 64],
            "num_attention_heads": [1, 2, 2, 4],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 32,
        },
        "ForSemanticSegmentation",
    ),
    Architecture(
        "whisper",
        Family.SPEECH,
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            **{name: value for name, value in _PAIRED.items() if name != "max_position_embeddings"},
            "num_mel_bins": 80,
            "max_source_positions": 1500,
            "max_target_positions": 64,
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
        },
        tokenizer=True,
    ),
    Architecture("wav2vec2", Family.SPEECH, "Wav2Vec2ForCTC", "Wav2Vec2Config", _HEARD),
    Architecture("hubert", Family.SPEECH, "HubertForSequenceClassification", "HubertConfig", _HEARD),
    Architecture(
        "clip",
        Family.MULTIMODAL,
        "CLIPModel",
        "CLIPConfig",
        {"projection_dim": 32},
        tokenizer=True,
        parts={"text_config": _READER, "vision_config": _PATCHED},
    ),
    Architecture(
        "siglip",
        Family.MULTIMODAL,
        "SiglipModel",
        "SiglipConfig",
        {},
        tokenizer=True,
        parts={"text_config": _READER, "vision_config": _PATCHED},
    ),
    Architecture(
        "llava",
        Family.DIALOGUE,
        "LlavaForConditionalGeneration",
        "LlavaConfig",
        {"image_token_index": composed.IMAGE_TOKEN},
        tokenizer=True,
        parts={
            "text_config": {**_GROUPED, "model_type": "llama"},
            "vision_config": {**_PATCHED, "model_type": "clip_vision_model", "projection_dim": 32},
        },
    ),
    Architecture("stable-diffusion", Family.DIFFUSION, "StableDiffusionPipeline", "", {}, tokenizer=True),
)
BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}


def build(architecture: Architecture, folder: Path, seed: int = 0) -> Path:
    """Write the model, and its tokenizer if it has one, into ``folder``; the same seed, the same weights."""
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    torch.manual_seed(seed)
    if architecture.family is Family.DIFFUSION:
        composed.write_pipeline(folder, _WORDS)
        return folder
    config = getattr(transformers, architecture.config)(**architecture.values, **architecture.parts)
    getattr(transformers, architecture.model)(config).eval().save_pretrained(folder)
    if architecture.family is Family.DIALOGUE:
        composed.write_processor(folder, _WORDS, 32, 8)
    elif architecture.tokenizer:
        composed.write_tokenizer(folder, _WORDS)
    return folder
