@rem Backs up MLflow with the Compose stack's backup tool.
@"%~dp0lib\python.bat" export.bat %*
