"""In which direction a metric improves, by its name."""

import re

HIGHER = re.compile(
    r"psnr(_gain_.+|_one_pass)?|ssim|.*accuracy|(.*_)?iou(/.+)?|miou|.*f1|dice|auc|.*ndcg_at_\d+|.*recall_at_\d+|"
    r".*precision_at_\d+|pseudo_likelihood|log_likelihood(_bound)?_(ais|exact)|classes_covered|bimodality"
)
LOWER = re.compile(
    r"loss|(.*_)?error|mse|rmse|mae|perplexity|neg_elbo|nll(_.+)?|bits_per_dim|.*distance|variation_of_information"
    r"|seconds_per_epoch|training_seconds|inference_ms_per_sample"
)


def direction(metric: str) -> int:
    """Return 1 if higher values of a metric, such as `test/miou`, are better, −1 if lower ones are, else 0."""
    name = metric.removeprefix("best ")
    name = name.removeprefix(f"{name.partition('/')[0]}/").removeprefix("crf_")
    return 1 if HIGHER.fullmatch(name) else -1 if LOWER.fullmatch(name) else 0
