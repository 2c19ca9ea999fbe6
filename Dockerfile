# scalian_exp in a container.    docker build -t scalian_exp .
#
# On x86, pip takes torch's build for NVIDIA GPUs, which runs on CPUs too. For an image without CUDA, a fifth of the size, give
# the address of torch's CPU packages, which pytorch.org/get-started shows:    --build-arg TORCH_INDEX=https://…/cpu
# Extras:    --build-arg EXTRAS=[export,optuna]
#
# docker run --rm -v "$PWD/data:/scalian/data" -v "$PWD/outputs:/scalian/outputs" scalian_exp scalian-train model=vae
# On a GPU: --gpus all before the image's name, and trainer/accelerator=gpu at the end. --user "$(id -u):$(id -g)" makes you
# the owner of what it writes; data loaders with workers want --shm-size=2g.
FROM python:3.12-slim

ARG TORCH_INDEX=""
ARG EXTRAS=""

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 HOME=/scalian
WORKDIR /build
COPY . .
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" "torch>=2.9,<2.15" "torchvision>=0.24,<0.30"; fi \
    && pip install ".${EXTRAS}" \
    && rm -rf /build \
    && useradd --uid 1000 --home-dir /scalian scalian \
    && mkdir -p /scalian/data /scalian/outputs \
    && chmod -R a+rwX /scalian
USER scalian
WORKDIR /scalian
CMD ["scalian-train", "--help"]
