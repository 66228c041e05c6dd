"""Registration of this package's models, trainers and defaults with RecBole."""
