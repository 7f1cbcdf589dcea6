#!/usr/bin/env pwsh
# Trains in the Compose stack's trainer: takes every option of handful train.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'train.ps1' $args
