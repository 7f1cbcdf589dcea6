#!/usr/bin/env pwsh
# Walks through both tasks, step by step.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'demo.ps1' $args
