"""What should a segmenter do with a radiologist's confidence? A study in notebooks."""
