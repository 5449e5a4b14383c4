"""The search for a model's learning rate, dropout and loss weights: resumable, pruned, one file."""
