#!/usr/bin/env pwsh
# Starts the API and the dashboard of the Compose stack, with what they need.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'serve.ps1' $args
