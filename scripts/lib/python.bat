@echo off
rem Every script goes on here, with its file name before its options. Finds a Python that fits; what the scripts do is
rem Python's (scripts/run.py). Each candidate is run, not only looked up: Windows' own `python` may be a stub that opens
rem the Store. The virtual environment's comes last: while it runs, Windows lets nobody make the environment again.
setlocal EnableExtensions DisableDelayedExpansion
set "python="
set "named="
if defined HANDFUL_PYTHON set "named=%HANDFUL_PYTHON:"=%"
if defined named call :try "%named%"
for %%V in (3.13 3.12 3.11) do call :try py -%%V
for %%P in (python3.13 python3.12 python3.11 python3 python) do call :try %%P
call :try "%~dp0..\..\.venv\Scripts\python.exe"
if not defined python (
    >&2 echo error: no Python 3.11, 3.12 or 3.13 works here: install one ^(winget install Python.Python.3.13, or https://www.python.org^) or name it with HANDFUL_PYTHON
    exit /b 6
)
%python% -B "%~dp0..\run.py" %*
exit /b %ERRORLEVEL%

:try
if defined python exit /b 0
call %* -c "import sys; assert (3, 11) <= sys.version_info < (3, 14)" >nul 2>nul
if "%ERRORLEVEL%"=="0" set python=%*
exit /b 0
