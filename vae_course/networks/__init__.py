"""Networks: encoders and decoders of vectors and of feature maps, and a causal transformer."""

from vae_course.networks.conditioned import Condition, ConditionedMLP, condition_layer
from vae_course.networks.frozen import frozen
from vae_course.networks.maps import MapDecoder, MapEncoder, ResidualBlock
from vae_course.networks.stages import Stages, conv_stages, mlp_stages
from vae_course.networks.transformer import CausalTransformer
from vae_course.networks.vectors import (
    ACTIVATIONS,
    NETWORKS,
    ConvDecoder,
    ConvEncoder,
    ImageShape,
    MLPDecoder,
    MLPEncoder,
    encoder_and_decoder,
)

__all__ = [
    "ACTIVATIONS",
    "NETWORKS",
    "CausalTransformer",
    "Condition",
    "ConditionedMLP",
    "ConvDecoder",
    "ConvEncoder",
    "ImageShape",
    "MLPDecoder",
    "MLPEncoder",
    "MapDecoder",
    "MapEncoder",
    "ResidualBlock",
    "Stages",
    "condition_layer",
    "conv_stages",
    "encoder_and_decoder",
    "frozen",
    "mlp_stages",
]
