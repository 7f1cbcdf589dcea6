@rem Walks through both tasks, step by step.
@"%~dp0lib\python.bat" demo.bat %*
