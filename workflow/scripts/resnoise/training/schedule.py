"""The learning rate of an epoch."""

from resnoise.specs.run import RecipeSpec


def learning_rate(recipe: RecipeSpec, epoch: int) -> float:
    """Return the rate of ``epoch`` (from 1): divided once for every milestone that has passed.

    A milestone is a fraction of all epochs: with 200 epochs, 0.5 acts from epoch 101 on.
    """
    # Rounded, because 0.55 * 100 is a little more than 55.
    passed = sum(epoch - 1 >= round(part * recipe.epochs, 6) for part in recipe.milestones)
    return float(recipe.learning_rate * recipe.decay_factor**passed)
