"""The learning rate of an epoch."""

from resnoise.specs import RecipeSpec


def learning_rate(recipe: RecipeSpec, epoch: int) -> float:
    """Return the rate of ``epoch`` (from 1): divided once for every milestone that has passed.

    A milestone is a fraction of all epochs: with 200 epochs, 0.5 acts from epoch 101 on.
    """
    passed = sum(epoch - 1 >= milestone * recipe.epochs for milestone in recipe.milestones)
    return float(recipe.learning_rate * recipe.decay_factor**passed)
