"""Clips and labels as people have them: `clips` and `labels` read, `folder` imports a cohort."""
