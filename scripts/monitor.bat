@rem Starts, checks and stops what watches the Compose stack: the monitor, Prometheus, Alertmanager and Grafana.
@"%~dp0lib\python.bat" monitor.bat %*
