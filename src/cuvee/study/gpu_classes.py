"""Classes of GPUs as the paper tells them apart: data centre, workstation, consumer."""

from enum import StrEnum

from cuvee.catalog.gpu import GpuType

DATA_CENTRE_NAMES = ("A100", "H100", "H200", "GH200", "B200", "B300", "GB200", "V100", "MI", "Gaudi", "TPU")
"""How the names of GPUs with stacked memory (HBM) begin."""


class GpuClass(StrEnum):
    """What a GPU is sold for."""

    DATA_CENTRE = "data-centre"
    WORKSTATION = "workstation"
    CONSUMER = "consumer"


def gpu_class(gpu: GpuType) -> GpuClass:
    """Class of a GPU type: by its memory, and among the others by whether the driver is that of a gaming card.

    Source      Jiang et al. (ICML 2025, arXiv 2502.00722): A100 and H100; A40, A6000 and L40; RTX 4090.
    """
    if gpu.name.startswith(DATA_CENTRE_NAMES):
        return GpuClass.DATA_CENTRE
    return GpuClass.WORKSTATION if gpu.peer_to_peer else GpuClass.CONSUMER
