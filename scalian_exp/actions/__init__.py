"""Actions on trained models, as `scalian-apply` offers them."""
