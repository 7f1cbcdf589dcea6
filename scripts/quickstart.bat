@rem Handful on this machine, without Docker: from drawn images to a served, watched model.
@"%~dp0lib\python.bat" quickstart.bat %*
