@rem Checks and tests everything; what it needs for that it installs first.
@"%~dp0lib\python.bat" test.bat %*
