# SPDX-License-Identifier: Apache-2.0
"""What the processes of test_distributed.py run: the command, or a short loop on a sharded model.

python -m torch.distributed.run --nproc-per-node 2 processes.py train ARGUMENTS
python -m torch.distributed.run --nproc-per-node 2 processes.py shard RECORDS RECIPE OUT.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

STEPS = 5


def shard(records: str, recipe_file: str, out: str) -> None:
    """Five AdamW steps on a `fully_shard`ed model; rank 0 writes the global loss of each step."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from spatialmllm.training.loader import SequenceData
    from spatialmllm.training.parameters import parameter_groups
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, make_model, prepare

    recipe = load_recipe(recipe_file)
    prepared = prepare(TrainRequest((records,), recipe, Path(out).parent))
    model = make_model(prepared)
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if world > 1:
        dist.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (world,))
        aggregator = model.aggregator
        assert aggregator is not None
        units = [*model.model.layers, *model.visual.blocks, *aggregator.frame_blocks]
        for unit in (*units, *aggregator.global_blocks, model):
            fully_shard(unit, mesh=mesh)
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.optimiser))
    data = SequenceData(prepared.records, prepared.builder, allow_bad=False)
    losses = []
    for step in range(STEPS):
        size = recipe.schedule.global_batch // world
        (micro,) = prepared.order.micro_batches(step, rank=rank, world_size=world, size=size)
        batch = data[micro]
        batch.pop("record_ids"), batch.pop("bad")
        count = (batch["labels"] != -100).sum()
        if world > 1:
            dist.all_reduce(count)
        loss = model(**batch, num_items_in_batch=count).loss
        (loss * world).backward()
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach().clone()
        if world > 1:
            dist.all_reduce(total)
        losses.append(float(total))
    if rank == 0:
        sharded = sum(hasattr(p, "placements") for p in model.parameters())
        Path(out).write_text(json.dumps({"losses": losses, "sharded": sharded}))
    if world > 1:
        dist.barrier()  # nobody leaves while another still talks to it


def leave(code: int) -> None:
    """End the process without tearing the interpreter down.

    The communication library's threads may outlive its process group by a moment; the interpreter's
    teardown then ends in `terminate called without an active exception`. What is tested is written.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "train":
        from spatialmllm.commands.train import main

        leave(main(sys.argv[2:]))
    shard(*sys.argv[2:])
    leave(0)
