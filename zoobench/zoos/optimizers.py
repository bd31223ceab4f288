"""Declarations: optimizers and their constants. What they do is said in ``training.optimizers``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..errors import look_up


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2014. ``epsilon_hat``: epsilon is added before the second moment's bias is corrected (the epsilon
    hat at the end of their sec. 2, as in Keras), instead of after it."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False


@dataclass(frozen=True)
class SGD:
    momentum: float = 0.9


@dataclass(frozen=True)
class RMSprop:
    """Hinton 2012, lecture 6e. ``rho`` is the share of the past in the mean of squares."""

    rho: float = 0.99
    epsilon: float = 1e-8


Optimizer = Adam | SGD | RMSprop


@dataclass(frozen=True)
class Optimizers:
    """What the values of the hyperparameter ``optimizer`` stand for in a recipe: the fields are its values.

    The defaults are those of ``torch.optim``, with momentum 0.9.
    """

    adam: Adam = field(default_factory=Adam)
    sgd: SGD = field(default_factory=SGD)
    rmsprop: RMSprop = field(default_factory=RMSprop)

    def named(self, name: str) -> Optimizer:
        """The declaration of an optimizer.

        Raises:
            ZoobenchError: unknown optimizer.
        """
        known: dict[str, Optimizer] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return look_up("optimizer", name, known)


# What ``tf.keras.optimizers.get(name)`` made in 2020 (TensorFlow 2.1, ``OptimizerV2``).
KERAS = Optimizers(Adam(epsilon=1e-7, epsilon_hat=True), SGD(momentum=0.0), RMSprop(rho=0.9, epsilon=1e-7))
