"""Precisions by name: as people write them, and of released weights by what a config.json says of quantisation."""

from cuvee.catalog.config_fields import ConfigFields
from cuvee.errors import InputError

DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "bf16", "float8_e4m3fn": "fp8", "float": "bf16"}
"""Stored type to served precision; engines load 32-bit weights in 16 bit."""

METHODS = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "mxfp4"}
"""Methods with one precision only."""

BIT_METHODS = ("awq", "gptq", "auto-round", "gptqmodel", "intel/auto-round")
"""Methods that state their width in `bits`."""

# Order matters: the four-bit weight formats come before the activations' own width (W4A8).
ALGORITHMS = (("MXFP4", "mxfp4"), ("FP4", "int4"), ("W4", "int4"), ("INT4", "int4"), ("FP8", "fp8"), ("INT8", "int8"))
"""ModelOpt algorithm names. NVFP4 (4 bit, one 8-bit scale per 16) is nearest in size to int4 over all layers."""

ALIASES = {
    "int4-awq": "int4", "int4-gptq": "int4", "awq": "int4", "gptq": "int4", "w4a16": "int4", "fp16": "bf16",
}  # fmt: skip
"""Other names that measurements give to precisions; 16 bits of either kind take the same bytes and time."""


def written_precision(text: str) -> str:
    """A precision as people write it, by the name that figures are kept under; "fp8?", a guess, counts as "fp8".

    Returns     what stands there in lower case where no name is known, "" where nothing does.
    """
    name = text.lower().strip("? ")
    return ALIASES.get(name, name)


def released_precision(config: ConfigFields) -> str:
    """Precision of the published weights: the quantisation where stated, else the stored type."""
    if config.has("quantization_config"):
        return _quantized(config.object("quantization_config"))
    key = "dtype" if config.has("dtype") else "torch_dtype"
    stored = config.text(key, default="bfloat16").removeprefix("torch.")
    if stored not in DTYPES:
        raise config.error(key, f"one of {', '.join(DTYPES)}")
    return DTYPES[stored]


def _quantized(section: ConfigFields) -> str:
    method = section.text("quant_method").lower()
    if method in METHODS:
        return METHODS[method]
    if method in BIT_METHODS:
        return _by_bits(section, "bits", floating=False)
    if method == "bitsandbytes":
        return "int4" if section.flag("load_in_4bit") else "int8"
    if method == "compressed-tensors":
        return _compressed_tensors(section)
    if method == "modelopt" or section.has("quant_algo"):
        return _modelopt(section)
    raise InputError(
        f"{section.where}: quant_method = {method!r}",
        expected=f"one of {', '.join((*METHODS, *BIT_METHODS, 'bitsandbytes', 'compressed-tensors', 'modelopt'))}",
        remedy="name the precision yourself with --precision and remove quantization_config from a copy",
    )


def _by_bits(section: ConfigFields, key: str, *, floating: bool) -> str:
    bits = section.whole(key, default=4, high=16)
    if bits not in (4, 8, 16):
        raise section.error(key, "4, 8 or 16 bits")
    return {4: "int4", 8: "fp8" if floating else "int8", 16: "bf16"}[bits]


def _compressed_tensors(section: ConfigFields) -> str:
    """Precision of the first group of weights; the others cover single layers."""
    groups = section.object("config_groups")
    for name in groups.values:
        weights = groups.object(name).object("weights")
        return _by_bits(weights, "num_bits", floating=weights.text("type", default="int") == "float")
    raise section.error("config_groups", "at least one group of weights")


def _modelopt(section: ConfigFields) -> str:
    """Precision of a ModelOpt export, whose own file nests the fields under "quantization"."""
    inner = section.object("quantization") if section.has("quantization") else section
    algorithm = inner.text("quant_algo").upper()
    for part, precision in ALGORITHMS:
        if part in algorithm:
            return precision
    raise inner.error("quant_algo", "FP8, NVFP4, MXFP4, INT8_SQ, W4A16_AWQ or the like")
