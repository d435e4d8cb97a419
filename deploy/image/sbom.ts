/** The list of what the image is made of (CycloneDX): what npm knows of, Node, and the libraries with their packages. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'

export interface SbomOptions {
  /** As `npm sbom` prints it. */
  readonly ofNpm: unknown
  readonly nodeVersion: string
  readonly libraries: readonly string[]
  readonly epoch: number
}

interface Component {
  readonly type: string
  readonly name: string
  readonly version?: string
  readonly purl?: string
}

/** The same for the same parts: npm would give it a number by chance, the time of day, and where it had them from. */
export function sbomOf({ ofNpm, nodeVersion, libraries, epoch }: SbomOptions): Buffer {
  if (!isRecord(ofNpm) || !Array.isArray(ofNpm.components) || !isRecord(ofNpm.metadata))
    throw new Error('npm sbom printed no CycloneDX')
  const { serialNumber: _, metadata, ...rest } = ofNpm
  const node = { version: nodeVersion, purl: `pkg:generic/node@${nodeVersion}` }
  const whole = {
    ...rest,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: isRecord(metadata) ? withoutSource(metadata.component) : {},
    },
    components: [
      ...ofNpm.components.map(withoutSource),
      { type: 'application', name: 'node', ...node } satisfies Component,
      ...debianComponents(libraries),
    ],
  }
  const digest = createHash('sha256').update(JSON.stringify(whole)).digest('hex')
  return Buffer.from(`${JSON.stringify({ ...whole, serialNumber: uuidOf(digest) }, null, 2)}\n`)
}

/** By its package, and not by the directory that it was installed in. */
function withoutSource(component: unknown): unknown {
  if (!isRecord(component)) return component
  const { externalReferences: _, properties: __, ...rest } = component
  const [, name = rest.name] = /^pkg:npm\/(.*)@/.exec(String(component.purl)) ?? []
  return { ...rest, name: decodeURIComponent(String(name)) }
}

/** The packages that the libraries are of; without dpkg the libraries themselves. */
function debianComponents(libraries: readonly string[]): Component[] {
  const found = libraries.map((path) => debianPackage(path) ?? { type: 'library', name: path })
  return [...new Map(found.map((each) => [each.name, each])).values()]
}

function debianPackage(path: string): Component | null {
  // dpkg knows a library of a merged /usr by one of its two paths
  for (const each of new Set([path, realpathSync(path), path.replace(/^\/usr/, '')]))
    try {
      const [owner = ''] = ask('dpkg-query', '-S', each).split(': ')
      const [name = '', version = ''] = ask(
        ...(['dpkg-query', '-W', '-f', '$' + '{Package} $' + '{Version}', owner] as const),
      ).split(' ')
      return { type: 'library', name, version, purl: `pkg:deb/debian/${name}@${version}` }
    } catch {
      // by its other path, perhaps
    }
  return null
}

function ask(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

function uuidOf(hex: string): string {
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ]
  return `urn:uuid:${[...parts, hex.slice(20, 32)].join('-')}`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
