"""From trained weights to a model package that provably answers as they do."""
