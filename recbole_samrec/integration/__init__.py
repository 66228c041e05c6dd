"""The models, trainers and defaults of this package, made known to RecBole."""
