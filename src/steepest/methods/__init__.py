"""Evaluation -> step. A method is a pure pair: `init(theta)` and `update(evaluation, state, theta, step)`."""
