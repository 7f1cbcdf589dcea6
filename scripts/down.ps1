#!/usr/bin/env pwsh
# Stops the Compose stack; its data stays, unless --delete-data is said.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'down.ps1' $args
