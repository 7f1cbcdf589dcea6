#!/usr/bin/env pwsh
# Handful on this machine, without Docker: from drawn images to a served, watched model.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'quickstart.ps1' $args
