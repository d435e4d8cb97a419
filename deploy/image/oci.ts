/**
 * One archive of one image, which docker load, podman load and ctr image import all take: an OCI image layout, and the
 * manifest.json of `docker save` beside it.
 */
import { createHash } from 'node:crypto'
import type { Entry } from './tar.ts'

export interface ImageOptions {
  /** A gzipped tar. */
  readonly layer: Buffer
  /** Of the tar itself, `sha256:…`. */
  readonly layerDiffId: string
  readonly architecture: string
  /** Seconds since 1970. */
  readonly epoch: number
  /** `name:tag`, under which it is found after it was loaded. */
  readonly reference: string
  readonly labels: Readonly<Record<string, string>>
  /** What the image runs by default. */
  readonly run: RunConfig
}

/** As OCI calls it. */
export interface RunConfig {
  readonly User: string
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly Env: readonly string[]
  readonly WorkingDir: string
  readonly ExposedPorts: Readonly<Record<string, object>>
  readonly StopSignal: string
}

export interface Image {
  /** Of the manifest, `sha256:…`: by it the image is pinned. */
  readonly digest: string
  /** Of its configuration: what docker and podman call the image id. */
  readonly id: string
  readonly entries: readonly Entry[]
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

export function imageOf(options: ImageOptions): Image {
  const { layer, layerDiffId, architecture, epoch, reference, labels, run } = options
  const created = new Date(epoch * 1000).toISOString()
  const config = json({
    created,
    architecture,
    os: 'linux',
    config: { ...run, Labels: labels },
    rootfs: { type: 'layers', diff_ids: [layerDiffId] },
    history: [{ created, created_by: 'clawmesh deploy/image' }],
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: described(CONFIG, config),
    layers: [described(LAYER, layer)],
    annotations: labels,
  })
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...described(MANIFEST, manifest),
        platform: { architecture, os: 'linux' },
        annotations: {
          'io.containerd.image.name': withRegistry(reference),
          'org.opencontainers.image.ref.name': reference.split(':').at(-1) ?? 'latest',
        },
      },
    ],
  })
  const dockerManifest = json([
    { Config: pathOf(config), RepoTags: [reference], Layers: [pathOf(layer)] },
  ])
  const file = (path: string, content: Buffer): Entry => ({ kind: 'file', path, content })
  return {
    digest: digestOf(manifest),
    id: digestOf(config),
    entries: [
      file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
      file('index.json', index),
      file('manifest.json', dockerManifest),
      ...[config, manifest, layer].map((blob) => file(pathOf(blob), blob)),
    ],
  }
}

/** As docker completes a short name. */
function withRegistry(reference: string): string {
  return reference.includes('/') ? reference : `docker.io/library/${reference}`
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function pathOf(blob: Buffer): string {
  return `blobs/${digestOf(blob).replace(':', '/')}`
}

function described(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
