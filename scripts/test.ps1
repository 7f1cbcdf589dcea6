#!/usr/bin/env pwsh
# Checks and tests everything; what it needs for that it installs first.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'test.ps1' $args
