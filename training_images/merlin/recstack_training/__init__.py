"""The training steps: from tables to a content-addressed package of one recommender version."""
