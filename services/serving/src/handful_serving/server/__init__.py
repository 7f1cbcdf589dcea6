"""The process that listens: uvicorn, with bounds that it does not have by itself."""
