"""What does a profile ask, what ran, and what must run again?"""
