#!/bin/sh
# Writes the hashed locks from pyproject.toml, the one source of versions, those of the benchmarks' peers and of the reference evaluations from peers.in and golden.in. Needs uv (https://docs.astral.sh/uv).
# torch and the CUDA libraries that its PyPI wheel names stay out: envs/torch.txt says why.
set -eu
cd "$(dirname "$0")/.."
cuda="--no-emit-package torch --no-emit-package triton"
for package in cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime \
    nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
    nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx; do
    cuda="$cuda --no-emit-package $package"
done
compile() {
    output=$1
    source=$2
    shift 2
    # shellcheck disable=SC2086
    uv pip compile "$source" --universal --python-version 3.11 --generate-hashes --quiet --no-annotate --no-header \
        $cuda "$@" --output-file "$output"
}
compile envs/requirements.txt pyproject.toml --extra build
compile envs/requirements-dev.txt pyproject.toml --extra build --extra dev --constraint envs/requirements.txt
# torchvision's PyPI wheel needs a CUDA build of torch and fails to import beside a CPU one; no peer that we call uses it.
compile envs/requirements-peers.txt envs/peers.in --no-emit-package torchvision
compile envs/requirements-golden.txt envs/golden.in --override envs/golden-overrides.txt --constraint envs/requirements.txt \
    --no-emit-package torchvision --no-emit-package nvidia-nccl-cu12

# The same versions for conda, in one file that Snakemake can copy: `--sdm conda` and `conda env create` both use it.
{
    cat <<'HEAD'
# Written by envs/lock.sh: Python from conda, every package from the lock.
# Use: conda env create -f envs/environment.yaml && conda activate unweave, or snakemake --sdm conda
name: unweave
channels:
  - conda-forge
dependencies:
  - python=3.12
  - pip
  - pip:
      - --extra-index-url https://download.pytorch.org/whl/cpu
      - torch==2.13.0
HEAD
    grep -E '^[a-z]' envs/requirements.txt | sed -e 's/ \\$//' -e 's/^/      - /'
} >envs/environment.yaml
