@rem Trains in the Compose stack's trainer: takes every option of handful train.
@"%~dp0lib\python.bat" train.bat %*
