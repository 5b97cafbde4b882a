"""Side by side: arms, raters, thresholds and tasks. Is a difference real?"""
