"""The `genreflow kubeflow` command group. Importing this module must stay instant."""

from __future__ import annotations

from genreflow.cli.help import CLUSTERS, App
from genreflow.cli.kubeflow.compile import compile_pipeline
from genreflow.cli.kubeflow.doctor import doctor
from genreflow.cli.kubeflow.runs import runs
from genreflow.cli.kubeflow.schedule import schedule
from genreflow.cli.kubeflow.submit import submit
from genreflow.cli.kubeflow.upload import upload
from genreflow.cli.kubeflow.watch import watch

app = App(
    "kubeflow",
    "Run the same pipeline on Kubeflow Pipelines.",
    CLUSTERS,
    add_completion=False,
)
app.command("compile")(compile_pipeline)
app.command()(submit)
app.command()(schedule)
app.command()(upload)
app.command()(runs)
app.command()(watch)
app.command()(doctor)
