"""Parts of status that both kinds share."""

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel


class Condition(ApiModel):
    """metav1.Condition, as KEP-1623 has it."""

    type: str = Field(description="Type, CamelCase.")
    status: str = Field(description="True, False or Unknown.")
    reason: str = Field(description="One CamelCase word for programs.")
    message: str = Field("", description="A sentence for people, telling what to do.")
    observed_generation: int = Field(0, description="metadata.generation that it speaks of.")
    last_transition_time: str = Field(description="When status last changed, RFC 3339.")
