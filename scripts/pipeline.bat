@rem Runs the pipeline of dvc.yaml with DVC, which it installs into an environment of its own.
@"%~dp0lib\python.bat" pipeline.bat %*
