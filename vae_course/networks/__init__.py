"""Networks: encoders and decoders of vectors and of feature maps, and a causal transformer."""

from vae_course.networks.freezing import frozen
from vae_course.networks.maps import MapDecoder, MapEncoder, ResidualBlock
from vae_course.networks.own import check_network
from vae_course.networks.precision import check_one_precision, check_precision, dtype_of
from vae_course.networks.sizes import ImageShape, as_image_shape, as_size, as_sizes
from vae_course.networks.vectors import (
    ACTIVATIONS,
    NETWORKS,
    Activation,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    Network,
    as_activation,
    encoder_and_decoder,
)

__all__ = [
    "ACTIVATIONS",
    "NETWORKS",
    "Activation",
    "ConvDecoder",
    "ConvEncoder",
    "ImageShape",
    "MLPDecoder",
    "MLPEncoder",
    "MapDecoder",
    "MapEncoder",
    "Network",
    "ResidualBlock",
    "as_activation",
    "as_image_shape",
    "as_size",
    "as_sizes",
    "check_network",
    "check_one_precision",
    "check_precision",
    "dtype_of",
    "encoder_and_decoder",
    "frozen",
]
