"""What is turned and painted in the notebook: the threshold explorer and the soft brush."""
