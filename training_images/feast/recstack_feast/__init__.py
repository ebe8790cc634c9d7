"""Feast for one stack: its repository applied, its online store filled. What the image's Jobs run."""
