"""Train one arm: labels as it is shown them, a network, its predictions and their scores."""
