"""Proof that a server holds what a backup holds."""

from handful_backup.verification.report import Finding, Report

__all__ = ["Finding", "Report"]
