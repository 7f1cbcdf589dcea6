#!/usr/bin/env pwsh
# Starts, checks and stops what watches the Compose stack: the monitor, Prometheus, Alertmanager and Grafana.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'monitor.ps1' $args
