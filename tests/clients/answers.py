"""How the drivers for both Python SDKs answer a server that asks: with what `plan.ANSWERS` says, as the SDK's own types.

What a driver asks itself is its own matter; so is what it hears, because the two SDKs hand over news in different forms.
"""

import mcp.types as types
import plan


async def sample(_context, _params):
    return types.CreateMessageResult.model_validate(plan.ANSWERS["sampling/createMessage"])


async def elicit(_context, _params):
    return types.ElicitResult.model_validate(plan.ANSWERS["elicitation/create"])


async def list_roots(_context):
    return types.ListRootsResult.model_validate(plan.ANSWERS["roots/list"])


CALLBACKS = {
    "sampling_callback": sample,
    "elicitation_callback": elicit,
    "list_roots_callback": list_roots,
}
