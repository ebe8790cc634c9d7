"""Pure builders of children: one file for each kind, facts in, finished manifest out."""
