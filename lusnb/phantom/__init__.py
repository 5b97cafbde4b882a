"""A phantom: simulated lung-ultrasound clips with known truth, patients and raters."""
