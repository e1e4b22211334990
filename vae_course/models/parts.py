"""Parts of a model that are given by name, or as a module of your own."""

from torch import nn

from vae_course.likelihoods import likelihood as by_name


def likelihood_part(likelihood: str | nn.Module) -> tuple[nn.Module, int]:
    """Return a likelihood and how many numbers it takes for each pixel.

    Args:
        likelihood: a name from `vae_course.likelihoods`, or a module that maps a decoder's output
            to a distribution over images and has `parameters_per_pixel`.

    Raises:
        TypeError: a class and not an instance.
        ValueError: an unknown name, or a module that does not say how many numbers it takes.
    """
    if isinstance(likelihood, type):
        raise TypeError(
            f"likelihood = {likelihood.__name__} is a class: make one, {likelihood.__name__}()"
        )
    module = by_name(likelihood) if isinstance(likelihood, str) else likelihood
    count = getattr(module, "parameters_per_pixel", None)
    if not isinstance(count, int) or count < 1:
        raise ValueError(
            f"a {type(module).__name__} as likelihood has parameters_per_pixel = {count}: it says "
            "there how many numbers of the decoder it takes for each pixel"
        )
    return module, count
