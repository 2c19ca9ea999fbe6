"""Networks start from the mean of their inputs."""

from types import SimpleNamespace

import torch

from scalian_exp.tasks.starting import mean_of_inputs


def test_the_mean_of_many_batches_of_16_bits_is_exact() -> None:
    batches = [{"image": torch.full((128, 3), 0.09375, dtype=torch.bfloat16)}] * 100
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(train_dataloader=lambda: batches),
        strategy=SimpleNamespace(batch_to_device=lambda batch: batch),
    )
    task = SimpleNamespace(device=torch.device("cpu"), trainer=trainer, inputs=lambda batch: batch["image"])
    assert mean_of_inputs(task).tolist() == [0.09375] * 3  # a sum in 16 bits adds 16 instead of 12 once it is at 2,048
