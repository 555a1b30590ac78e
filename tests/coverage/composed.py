"""What a tiny model needs beside its weights, and models that are more than one class."""

import importlib
from pathlib import Path
from typing import Any

VOCABULARY = 512
# As most models of today bring one: save_pretrained writes it into a file of its own.
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
# The tokenizer's fifth word, which stands for an image.
IMAGE = "<image>"
IMAGE_TOKEN = 4


def write_tokenizer(folder: Path, words: Path, *extra: str) -> None:
    """Train a byte-pair tokenizer on the words of a file, which are as good as any."""
    tokenizers, transformers = (importlib.import_module(name) for name in ("tokenizers", "transformers"))
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    marks = [*special.values(), *extra]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=marks)
    tokenizer.train_from_iterator([words.read_text()], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def write_processor(folder: Path, words: Path, size: int, patch: int) -> None:
    """Write what LLaVA's export reads: the tokenizer, and how images are cut and counted."""
    transformers = importlib.import_module("transformers")
    write_tokenizer(folder, words, IMAGE)
    pictures = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
    transformers.LlavaProcessor(
        pictures,
        transformers.AutoTokenizer.from_pretrained(folder),
        patch_size=patch,
        vision_feature_select_strategy="default",
        image_token=IMAGE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def write_pipeline(folder: Path, words: Path) -> None:
    """Write a pipeline of diffusers: text encoder, U-Net, autoencoder, tokenizer and scheduler."""
    diffusers, transformers = (importlib.import_module(name) for name in ("diffusers", "transformers"))
    write_tokenizer(folder / "tokenizer", words)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    autoencoder = diffusers.AutoencoderKL(
        block_out_channels=[16, 32],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        norm_num_groups=8,
        sample_size=16,
    )
    diffusers.StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=_text_encoder(),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def _text_encoder() -> Any:
    """Return the encoder that the U-Net listens to; its width is the U-Net's ``cross_attention_dim``."""
    transformers = importlib.import_module("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    return transformers.CLIPTextModel(config)
