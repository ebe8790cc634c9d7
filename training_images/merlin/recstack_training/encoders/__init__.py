"""Pretrained encoders of texts and pictures, by TensorFlow, which the training image has already."""
