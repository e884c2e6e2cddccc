"""The manifest for KubeRay in docs/cluster.md has the fields that KubeRay and Kubernetes document.

Strictly: an unknown field, a missing one or a value of another type fails. Sources: RayCluster in
`ray.io/v1` (ray-project.github.io/kuberay/reference/api) and PodTemplateSpec in `v1`
(kubernetes.io/docs/reference/kubernetes-api); of the latter, the fields in use.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec
import pytest

pytest.importorskip("yaml")

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Fields without a default are required."""


class Named(Strict):
    name: str


class Claim(Strict):
    claim_name: str


class Volume(Named):
    persistent_volume_claim: Claim


class Mount(Named):
    mount_path: str


class EnvFrom(Strict):
    secret_ref: Named


class Resources(Strict):
    limits: dict[Literal["cpu", "memory", "nvidia.com/gpu"], str]


class Container(Named):
    image: str
    env_from: list[EnvFrom] = []
    volume_mounts: list[Mount] = []
    resources: Resources | None = None


class Pod(Strict):
    containers: list[Container]
    volumes: list[Volume] = []


class Template(Strict):
    spec: Pod


class Head(Strict):
    ray_start_params: dict[str, str]
    template: Template


class Workers(Head):
    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int


class Spec(Strict):
    head_group_spec: Head
    worker_group_specs: list[Workers]


class RayCluster(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Named
    spec: Spec


def test_the_manifest_has_the_documented_fields() -> None:
    (text,) = re.findall(r"```text\n# cluster.yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    spec = msgspec.yaml.decode(text, type=RayCluster).spec
    for group in (spec.head_group_spec, *spec.worker_group_specs):
        pod = group.template.spec
        mounted = {one.name for box in pod.containers for one in box.volume_mounts}
        assert mounted == {volume.name for volume in pod.volumes} != set()
