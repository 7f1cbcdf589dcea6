@rem Starts the Compose stack; the first time it makes the settings and the secrets.
@"%~dp0lib\python.bat" up.bat %*
