# SPDX-License-Identifier: Apache-2.0
"""LLaMA-Factory: messages and images, registered in dataset_info.json, and the file of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_engine.export.request import Finished
from spatial_engine.export.sample import JsonLines, Sample
from spatialcore.files import write_json, write_text

TRAIN_FILE = "qwen2_5_vl_lora.yaml"


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {**sample.named, "messages": sample.turns, "images": list(sample.images)}


def register(made: Finished) -> None:
    """Write dataset_info.json, an entry a split, and a run that trains on it as it is."""
    folder, files = made.folder, made.files
    tags = {
        "role_tag": "role", "content_tag": "content",
        "user_tag": "user", "assistant_tag": "assistant",
    }  # fmt: skip
    splits = sorted({split for split, _ in files})
    info = {
        f"spatialcore_{split}": {
            "file_name": split,  # the folder: every file of the split
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": tags,
        }
        for split in splits
    }
    write_json(folder / "llamafactory" / "dataset_info.json", info)
    write_text(folder / "llamafactory" / TRAIN_FILE, _run(folder, splits))


def _run(folder: Path, splits: list[str]) -> str:
    """A LoRA run of Qwen2.5-VL over the train split, evaluated on val where there is one."""
    here = folder / "llamafactory"
    images_max = 262_144
    lines = [
        "# llamafactory-cli train " + str(here / TRAIN_FILE),
        "model_name_or_path: Qwen/Qwen2.5-VL-3B-Instruct",
        f"image_max_pixels: {images_max}",
        "trust_remote_code: true",
        "",
        "stage: sft",
        "do_train: true",
        "finetuning_type: lora",
        "lora_rank: 16",
        "lora_target: all",
        "",
        f"dataset_dir: {_quoted(here)}",
        f"media_dir: {_quoted(folder)}",
        f"dataset: spatialcore_{'train' if 'train' in splits else splits[0]}",
        "template: qwen2_vl",
        "cutoff_len: 8192",
        "preprocessing_num_workers: 4",
        "",
        f"output_dir: {_quoted(here / 'qwen2_5_vl_lora')}",
        "logging_steps: 10",
        "save_steps: 500",
        "plot_loss: true",
        "",
        "per_device_train_batch_size: 1",
        "gradient_accumulation_steps: 8",
        "learning_rate: 1.0e-4",
        "num_train_epochs: 1.0",
        "lr_scheduler_type: cosine",
        "warmup_ratio: 0.1",
        "bf16: true",
    ]
    if {"train", "val"} <= set(splits):
        lines += [
            "", "eval_dataset: spatialcore_val", "per_device_eval_batch_size: 1",
            "eval_strategy: steps", "eval_steps: 500",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    """A path as a YAML string."""
    return "'" + str(path).replace("'", "''") + "'"
