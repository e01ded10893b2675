"""What of the Helm chart follows from the code: its values, their schema and reference, and the agent's rights."""

from agentd.cli.chart.texts import reference_text, rights_text, schema_text, values_text

__all__ = ["reference_text", "rights_text", "schema_text", "values_text"]
