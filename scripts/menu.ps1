#!/usr/bin/env pwsh
# Shows the other scripts in a list to choose from, or runs one by a word.
. "$PSScriptRoot/lib/python.ps1"
Invoke-HandfulScript 'menu.ps1' $args
