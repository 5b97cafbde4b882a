"""The three clinical questions: what each asks of a cohort, how it is learnt and scored."""
