@rem Delivers Handful to a Kubernetes cluster: blue and green, of which one answers.
@"%~dp0lib\python.bat" deploy.bat %*
