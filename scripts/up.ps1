#!/usr/bin/env pwsh
# Starts the Compose stack; the first time it makes the settings and the secrets.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'up.ps1' $args
