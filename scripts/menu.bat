@rem Shows the other scripts in a list to choose from, or runs one by a word.
@"%~dp0lib\python.bat" menu.bat %*
