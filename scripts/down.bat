@rem Stops the Compose stack; its data stays, unless --delete-data is said.
@"%~dp0lib\python.bat" down.bat %*
