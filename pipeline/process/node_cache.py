"""Look into the cache for a node, without registering an execution of it."""

from __future__ import annotations

from typing import Any

from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import cache_utils, inputs_utils, outputs_utils
from tfx.orchestration.portable.input_resolution import exceptions

# Outputs are described before there is an execution; the cache's key leaves out their URIs.
_NO_EXECUTION = 0


def has_cached_outputs(ir: Any, deployment: Any, node: Any, connection: Any) -> bool:
    """Return whether the cache has outputs of a node whose upstream nodes are complete.

    It composes the cache's key as `Launcher._prepare_execution` of TFX's portable launcher does. A
    node is never found that has no executor, a driver of its own, or a parameter that is read from
    an input; no node of ours does.

    Args:
      ir: the pipeline, with the run's id in it.
      deployment: its LocalDeploymentConfig.
      node: the node of the pipeline.
      connection: an ml_metadata ConnectionConfig.
    """
    node_id = node.node_info.id
    executor = runner_utils.extract_executor_spec(deployment, node_id)
    if (
        executor is None
        or runner_utils.extract_custom_driver_spec(deployment, node_id) is not None
        or not node.execution_options.caching_options.enable_cache
        or any(value.HasField("placeholder") for value in node.parameters.parameters.values())
    ):
        return False
    with metadata.Metadata(connection) as handle:
        properties = data_types_utils.build_parsed_value_dict(
            inputs_utils.resolve_parameters_with_schema(node_parameters=node.parameters)
        )
        try:
            resolved = inputs_utils.resolve_input_artifacts(
                pipeline_node=node, metadata_handle=handle
            )
        except exceptions.InputResolutionError:  # the node's own step reports it
            return False
        if isinstance(resolved, inputs_utils.Skip) or len(resolved) != 1:
            return False
        (inputs,) = resolved
        context = cache_utils.get_cache_context(
            metadata_handle=handle,
            pipeline_node=node,
            pipeline_info=ir.pipeline_info,
            executor_spec=executor,
            input_artifacts=inputs,
            output_artifacts=outputs_utils.OutputsResolver(
                pipeline_node=node,
                pipeline_info=ir.pipeline_info,
                pipeline_runtime_spec=ir.runtime_spec,
            ).generate_output_artifacts(_NO_EXECUTION),
            parameters=properties,
        )
        return cache_utils.get_cached_outputs(handle, cache_context=context) is not None
