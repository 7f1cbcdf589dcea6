# Dot-sourced by the scripts. Finds a Python that fits; what the scripts do is Python's (scripts/run.py).
# Written for Windows PowerShell 5.1, which Windows has, and for PowerShell 7 on every system.
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

# Each candidate is run, not only looked up: Windows' own `python` may be a stub that opens the Store.
# The virtual environment's comes last: while it runs, Windows lets nobody make the environment again.
function Find-HandfulPython {
    $venv = Join-Path (Split-Path (Split-Path $PSScriptRoot)) '.venv'
    $named = @($env:HANDFUL_PYTHON | Where-Object { $_ })
    $installed = 'py -3.13', 'py -3.12', 'py -3.11', 'python3.13', 'python3.12', 'python3.11', 'python3', 'python'
    $own = (Join-Path $venv 'Scripts/python.exe'), (Join-Path $venv 'bin/python')
    foreach ($candidate in @($named) + $installed + $own) {
        $command = if ($candidate -like 'py -*') { -split $candidate } else { , $candidate }
        if (Test-HandfulPython $command) { return $command }
    }
}

function Test-HandfulPython([string[]] $Command) {
    # What a program writes to stderr, or its exit code, is no error of this script.
    $ErrorActionPreference = 'SilentlyContinue'
    $PSNativeCommandUseErrorActionPreference = $false
    if (-not (Get-Command $Command[0] -CommandType Application)) { return $false }
    $options = @($Command | Select-Object -Skip 1)
    try {
        & $Command[0] @options -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14)' *> $null
    } catch {
        return $false
    }
    return $LASTEXITCODE -eq 0
}

function Invoke-HandfulScript([string] $Script, [object[]] $Arguments) {
    $python = @(Find-HandfulPython)
    if (-not $python) {
        [Console]::Error.WriteLine('error: no Python 3.11, 3.12 or 3.13 works here: install one ' +
            '(winget install Python.Python.3.13, or https://www.python.org) or name it with HANDFUL_PYTHON')
        exit 6
    }
    $options = @($python | Select-Object -Skip 1)
    # PowerShell takes the commas of an unquoted a,b for a list.
    $argv = @($Arguments | ForEach-Object { $_ -join ',' })
    $ErrorActionPreference = 'Continue'
    $PSNativeCommandUseErrorActionPreference = $false
    & $python[0] @options -B (Join-Path (Split-Path $PSScriptRoot) 'run.py') $Script @argv
    exit $LASTEXITCODE
}
