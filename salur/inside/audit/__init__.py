"""Auditing stages: their topics against their own databases."""

from salur.inside.audit.result import AuditResult, Finding, Kind, StageAudit, TableAudit, TopicAudit
from salur.inside.audit.verify import Progress, verify

__all__ = ["AuditResult", "Finding", "Kind", "Progress", "StageAudit", "TableAudit", "TopicAudit", "verify"]
