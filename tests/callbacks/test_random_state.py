"""Each of several processes continues its random numbers where they stopped."""

import torch

from scalian_exp.callbacks.random_state import noise_state, set_noise_state


def test_each_process_restores_its_own_row_of_the_saved_states() -> None:
    """A checkpoint stacks the states of all processes in one tensor, one row per process."""
    cpu = torch.device("cpu")
    states, expected = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        states.append(noise_state(cpu))
        expected.append(torch.rand(4))
    together = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    for rank in range(3):
        set_noise_state({name: rows[rank] for name, rows in together.items()}, cpu)
        assert torch.equal(torch.rand(4), expected[rank])
