"""What is a cohort on disk? Tables, their one schema, images, splits; what is painted into it."""
