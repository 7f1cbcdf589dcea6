"""All of an MLflow server in one ZIP file, and back: `handful export`, `handful import`, `handful verify`."""
