"""What can be rented and served: GPU types, offers and model shapes."""

from cuvee.catalog.aliases import gpu_name_for
from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import find_gpu, find_gpu_by_memory, load_gpu_types, parse_gpu
from cuvee.catalog.huggingface import parse_config
from cuvee.catalog.model import ModelSpec
from cuvee.catalog.models import load_model, load_models
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.catalog.offers import load_offers, offer_set_names

__all__ = [
    "GpuType",
    "ModelSpec",
    "Offer",
    "OfferSet",
    "find_gpu",
    "find_gpu_by_memory",
    "gpu_name_for",
    "load_gpu_types",
    "load_model",
    "load_models",
    "load_offers",
    "offer_set_names",
    "parse_config",
    "parse_gpu",
]
