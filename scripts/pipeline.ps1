#!/usr/bin/env pwsh
# Runs the pipeline of dvc.yaml with DVC, which it installs into an environment of its own.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'pipeline.ps1' $args
