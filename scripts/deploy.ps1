#!/usr/bin/env pwsh
# Delivers Handful to a Kubernetes cluster: blue and green, of which one answers.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'deploy.ps1' $args
