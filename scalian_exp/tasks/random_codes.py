"""Draw codes at random for networks that have no distribution of codes, such as plain autoencoders."""

import torch
from torch import Tensor


def random_codes(count: int, training_codes: Tensor) -> dict[str, Tensor]:
    """Draw codes from N(0, 1) and from a normal distribution fitted to training codes.

    Args:
        count: number of codes of each kind.
        training_codes: codes of the training data, (N, D).

    Returns:
        Codes (count, D) by the name of their distribution.
    """
    return {
        "N(0, 1)": torch.randn_like(training_codes[:1].expand(count, -1)),
        "normal, fitted to\ntraining codes": fitted_normal(count, training_codes),
    }


def fitted_normal(count: int, codes: Tensor) -> Tensor:
    """Draw from the normal distribution with the mean and the full covariance of codes (N, D), (count, D).

    The covariance may be singular, as where a unit is always 0 or where there are more dimensions than codes; nothing
    is drawn outside the space that the codes span.
    """
    double = codes.cpu().double()  # Apple's GPUs have neither double precision nor eigenvectors
    mean = double.mean(0)
    centred = double - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / max(len(codes) - 1, 1))
    noise = torch.randn(count, len(mean), dtype=torch.double)
    return (mean + noise * variances.clamp_min(0).sqrt() @ directions.T).to(codes)
