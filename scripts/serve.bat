@rem Starts the API and the dashboard of the Compose stack, with what they need.
@"%~dp0lib\python.bat" serve.bat %*
