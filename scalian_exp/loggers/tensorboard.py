"""Curves, figures, codes and hyperparameters in TensorBoard."""

import io
from collections.abc import Mapping

from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard.summary import hparams


class TensorBoard(TensorBoardLogger):
    """Lightning's logger for TensorBoard, which also takes figures, codes and hyperparameters."""

    def log_figure(self, name: str, png: bytes, epoch: int, step: int) -> None:
        """Add the contents of a PNG file as an image by epoch; `add_image` would compress its pixels again."""
        width, height = Image.open(io.BytesIO(png)).size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        summary = Summary(value=[Summary.Value(tag=name, image=image)])
        self.experiment._get_file_writer().add_summary(summary, epoch)  # `file_writer` is None once the fit closed it

    def log_codes(self, codes: Tensor, labels: list[int], thumbnails: Tensor, step: int) -> None:
        """Fill the PROJECTOR tab; TensorBoard shows at most 65,000 codes, whose thumbnails fit in one picture."""
        self.experiment.add_embedding(codes, labels, thumbnails, tag="codes", global_step=step)

    def log_hyperparameters(self, values: Mapping[str, bool | str | float], metric: str) -> None:
        """List a run's values for the HPARAMS tab, whose columns results/dashboard.py or TensorBoard itself chooses."""
        _, start, end = hparams(dict(values), {metric: None})  # the curve of that name is the metric
        for entry in (start, end):
            self.experiment._get_file_writer().add_summary(entry)
