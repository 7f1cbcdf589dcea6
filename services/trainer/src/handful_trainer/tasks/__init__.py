"""One folder for each kind of model that can be trained."""
