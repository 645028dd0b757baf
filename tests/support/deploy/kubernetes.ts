/** @file Manifests against the schemas of Kubernetes and of the operators that they are for, which npm has as validators. */
import * as gateway from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import * as apps from "kubernetes-models/apps/v1";
import * as policy from "kubernetes-models/policy/v1";
import * as core from "kubernetes-models/v1";

/** A resource of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly [field: string]: any;
}

interface Model {
  readonly apiVersion: string;
  readonly kind: string;
  readonly prototype: { validate(): void };
}

const MODELS = [apps, core, gateway, keda, policy, prometheus].flatMap((module) =>
  Object.values(module).filter((value) => "kind" in value) as Model[]
);

/** @throws {Error} when a field of a manifest is missing, has a wrong value or is unknown */
export function checkManifest(manifest: Manifest): void {
  const { apiVersion, kind } = manifest;
  const model = MODELS.find((model) => model.apiVersion === apiVersion && model.kind === kind);
  if (model === undefined) throw new Error(`There is no schema for ${kind} of ${apiVersion}`);
  const unread = new Set<string>();
  model.prototype.validate.call(watched(manifest, "", unread));
  if (unread.size > 0) throw new Error(`${kind} has no field ${[...unread].join(", ")}`);
}

/**
 * A copy that takes note of what is read of it. The validators take no offence at fields that they do not know, but they read all
 * that they know.
 *
 * @param unread is given the paths of all fields; each is taken out when it is read
 */
function watched(value: any, path: string, unread: Set<string>): any {
  if (typeof value !== "object" || value === null) return value;
  const copy: any = Array.isArray(value) ? [] : {};
  for (const [key, inner] of Object.entries(value)) {
    unread.add(`${path}/${key}`);
    copy[key] = watched(inner, `${path}/${key}`, unread);
  }
  return new Proxy(copy, {
    get(target, key) {
      if (typeof key === "string") unread.delete(`${path}/${key}`);
      return target[key];
    },
  });
}
