@rem Brings a backup of MLflow back with the Compose stack's backup tool.
@"%~dp0lib\python.bat" import.bat %*
