/** Makes the image: its root file system, the archive that engines load, a Dockerfile for it, and the list of its parts. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { appFiles } from './app-files.ts'
import { imageOf } from './oci.ts'
import { dockerfileOf, RUN } from './run-config.ts'
import { sbomOf } from './sbom.ts'
import { librariesOf, systemFiles } from './system-files.ts'
import { type Entry, tarOf } from './tar.ts'

export interface MakeImageOptions {
  /** Made, or its files are overwritten. */
  readonly out: string
  /** `name:tag` that the archive gives to the image. */
  readonly reference: string
  readonly version: string
  /** The commit, for the label; null when it is not known. */
  readonly revision: string | null
  /** Seconds since 1970, for all times in the image. */
  readonly epoch: number
  /** The binary of Node that goes into the image. Default: the one that runs. */
  readonly node?: string
  /** For what is made on the way. Default: a directory for temporary files. */
  readonly scratch?: string
}

export interface MadeImage {
  readonly digest: string
  readonly id: string
  /** What docker load and podman load take. */
  readonly archive: string
  readonly archiveBytes: number
  /** The layer of the image, unpacked. */
  readonly rootfsBytes: number
}

const LEVEL = 4

/** @throws Error that says what is missing on this machine */
export async function makeImage(options: MakeImageOptions): Promise<MadeImage> {
  const { out, reference, version, revision, epoch, node = process.execPath } = options
  await mkdir(out, { recursive: true })
  const scratch = await mkdtemp(join(options.scratch ?? tmpdir(), 'clawmesh-image-'))
  try {
    const app = await appFiles(scratch)
    const libraries = librariesOf(node)
    const nodeVersion = process.versions.node
    const sbom = sbomOf({ ofNpm: app.sbom, nodeVersion, libraries, epoch })
    const entries: Entry[] = [
      ...systemFiles(node),
      ...app.entries,
      { kind: 'file', path: 'app/sbom.cdx.json', content: sbom },
    ]
    const tar = await gather(tarOf(entries, { epoch }))
    const labels = {
      'org.opencontainers.image.title': 'clawmesh',
      'org.opencontainers.image.description': 'The Clawmesh gateway, and the commands of the mesh',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': version,
      ...(revision === null ? {} : { 'org.opencontainers.image.revision': revision }),
    }
    const image = imageOf({
      layer: await promisify(gzip)(tar, { level: LEVEL }),
      layerDiffId: `sha256:${createHash('sha256').update(tar).digest('hex')}`,
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      ...{ epoch, reference, labels, run: RUN },
    })
    const archive = join(out, 'clawmesh.tar')
    await writeFile(join(out, 'rootfs.tar'), tar)
    const archiveBytes = await writeAll(archive, tarOf(image.entries, { epoch }))
    await writeFile(join(out, 'Dockerfile'), dockerfileOf(RUN, labels))
    await writeFile(join(out, 'sbom.cdx.json'), sbom)
    // what the Dockerfile needs is sent to the engine, and the archive beside it is not
    await writeFile(join(out, '.dockerignore'), '*\n!rootfs.tar\n')
    const { digest, id } = image
    return { digest, id, archive, archiveBytes, rootfsBytes: tar.length }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

async function writeAll(path: string, chunks: AsyncIterable<Buffer>): Promise<number> {
  const file = createWriteStream(path)
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (!file.write(chunk)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  return bytes
}
