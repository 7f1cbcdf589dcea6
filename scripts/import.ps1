#!/usr/bin/env pwsh
# Brings a backup of MLflow back with the Compose stack's backup tool.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'import.ps1' $args
