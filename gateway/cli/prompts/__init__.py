"""`gateway prompts`: versions of prompts, through the admin API of a running gateway, and in files.

Each command is listed here with its module, which is imported when it is called.
"""

from gateway.cli.lazy import lazy_group

_HERE = "gateway.cli.prompts."


@lazy_group(
    {
        "push": (_HERE + "files:push", "make files the newest versions of their prompts"),
        "pull": (_HERE + "files:pull", "write prompts into a folder, one file each"),
        "lint": (_HERE + "check:lint", "what is wrong with prompts, and what that costs"),
        "render": (_HERE + "check:render", "the messages that a prompt makes, their tokens and price"),
        "import": (_HERE + "bring:import_", "take prompts over from OpenAI"),
        "list": (_HERE + "look:list_", "what prompts there are, and where their labels point"),
        "show": (_HERE + "look:show", "one prompt with its versions, or what one version says"),
        "diff": (_HERE + "look:diff", "what changed from one version to another, or to a file"),
        "audit": (_HERE + "look:audit", "who changed what, and when"),
        "compare": (_HERE + "compare:compare", "what one version costs and does otherwise than another"),
        "activate": (_HERE + "labels:activate", "point a label at a version"),
        "rollback": (_HERE + "labels:rollback", "point a label where it pointed before"),
        "split": (_HERE + "labels:split", "share out a label's requests among versions, or stop that"),
        "shadow": (_HERE + "labels:shadow", "have a version answered beside the one that callers get"),
        "archive": (_HERE + "labels:archive", "serve a prompt no longer, or again"),
    }
)
def prompts() -> None:
    """Push, label, compare and roll back prompts of a running gateway.

    Its admin key is read from GATEWAY_ADMIN_KEY. A change holds within a second, on every replica that shares the
    ledger's database.
    """
