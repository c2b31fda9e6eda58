"""The store: finished stages on disk, keyed by identity, verified before they are believed.

    <root>/w2s_store.json                        says that the folder is a store, and in which format
    <root>/<kind>/<label>-<digest16>/            an artifact, found by its digest: stage.json, outputs, manifest.json
    <root>/.work/<digest>/<owner>-<random>/      where outputs grow before one rename makes them an artifact
    <root>/.work/<digest>/ckpt/                  checkpoints of an unfinished fit
    <root>/.lease/<digest>                       who is computing it: saves work, decides nothing
    <root>/.quarantine/<kind>-<folder>-<time>/   what did not verify

A hit is a manifest that verifies and a `stage.json` equal to the wanted record. Two writers are harmless, since
only a rename publishes; the lease merely keeps the second one from working in vain. Nothing here imports torch.
"""

from w2s_lightning.store.artifacts import Artifact, Missing, Store
from w2s_lightning.store.disk import is_ours
from w2s_lightning.store.manifest import Damaged, Manifest

__all__ = ["Artifact", "Damaged", "Manifest", "Missing", "Store", "is_ours"]
