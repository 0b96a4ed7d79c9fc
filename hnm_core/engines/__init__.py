"""Mine data that do not fit into memory: shards of whole images, one after the other, in processes or on a cluster.

:func:`~hnm_core.engines.sharded.mine_shards` knows the steps and no engine; :class:`~hnm_core.engines.local.Local` and
:class:`~hnm_core.engines.ray_cluster.RayCluster` walk the shards and know no formula. The result is that of
:func:`hnm_core.mine` on all images, to the bit.
"""

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .local import Local
    from .ray_cluster import RayCluster
    from .result import MinedPart, ShardedResult
    from .shard import Shard
    from .sharded import mine_shards

__all__ = ["Local", "MinedPart", "RayCluster", "Shard", "ShardedResult", "mine_shards"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "local": ("Local",),
        "ray_cluster": ("RayCluster",),
        "result": ("MinedPart", "ShardedResult"),
        "shard": ("Shard",),
        "sharded": ("mine_shards",),
    },
)
