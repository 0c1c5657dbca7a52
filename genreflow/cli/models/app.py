"""The `genreflow models` command group. Importing this module must stay instant."""

from __future__ import annotations

from genreflow.cli.help import USE, App
from genreflow.cli.models.allow import allow
from genreflow.cli.models.label import label, unlabel
from genreflow.cli.models.list import list_models
from genreflow.cli.models.prune import prune
from genreflow.cli.models.rollback import rollback
from genreflow.cli.models.show import show

app = App("models", "Look after pushed versions: list, roll back, delete, label.", USE)
app.command("list")(list_models)
app.command()(show)
app.command()(rollback)
app.command()(allow)
app.command()(prune)
app.command()(label)
app.command()(unlabel)
