#!/usr/bin/env pwsh
# Backs up MLflow with the Compose stack's backup tool.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'export.ps1' $args
