"""Is a file an image that can be trained on, and what is in it?"""
