"""The noise of one process among several goes on where it stopped."""

import torch

from scalian_exp.callbacks.random_state import noise_state, set_noise_state


def test_each_process_takes_its_row_of_the_states_that_were_saved_together() -> None:
    """As in a checkpoint, where a row for each process lies in one tensor."""
    cpu = torch.device("cpu")
    states, wanted = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        states.append(noise_state(cpu))
        wanted.append(torch.rand(4))
    together = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    for rank in range(3):
        set_noise_state({name: rows[rank] for name, rows in together.items()}, cpu)
        assert torch.equal(torch.rand(4), wanted[rank])
