"""Train the judge of Fashion-MNIST that ships with the package, and write its weights."""

from pathlib import Path

import torch

from vae_course import storage
from vae_course.data import load, to_unit
from vae_course.metrics import Classifier, train_classifier

TARGET = Path("vae_course/metrics/fashion-mnist-classifier.safetensors")


def main() -> None:
    """Train on the whole training split; report accuracy on the test split."""
    train = load("fashion-mnist", "train", fallback=False)
    test = load("fashion-mnist", "test", fallback=False)
    torch.manual_seed(0)
    model = Classifier(train.image_shape, len(train.classes))
    train_classifier(model, to_unit(train.images), train.labels, epochs=12)
    model.load_state_dict({name: t.half() for name, t in model.state_dict().items()})
    predicted = model.probabilities(to_unit(test.images)).argmax(-1)
    accuracy = (predicted == test.labels).float().mean().item()
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    storage.write(TARGET, halves, {"test_accuracy": accuracy})
    print(f"test accuracy {accuracy:.4f}, written to {TARGET}")


if __name__ == "__main__":
    main()
