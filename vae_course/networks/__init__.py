"""Networks: encoders and decoders of vectors and of feature maps, and a causal transformer."""

from vae_course.networks.freezing import frozen
from vae_course.networks.maps import MapDecoder, MapEncoder, ResidualBlock
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
    "ConvDecoder",
    "ConvEncoder",
    "ImageShape",
    "MLPDecoder",
    "MLPEncoder",
    "MapDecoder",
    "MapEncoder",
    "ResidualBlock",
    "encoder_and_decoder",
    "frozen",
]
