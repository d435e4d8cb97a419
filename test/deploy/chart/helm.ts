/** The charts of deploy/chart, rendered and judged by Helm. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadAll } from 'js-yaml'
import { type Ran, runCommand } from '../../support/run-command.ts'
import { KUBERNETES, officialTool } from '../tools/helm-and-kubectl.ts'

export type Chart = 'clawmesh-gateway' | 'clawmesh-tenant'
export type Values = Readonly<Record<string, unknown>>

/** An object of Kubernetes, as it is read. */
export interface KubeObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly [key: string]: unknown }
  readonly [key: string]: unknown
}

export const NAMESPACE = 'mesh-system'
const CHARTS = fileURLToPath(new URL('../../../deploy/chart/', import.meta.url))

export interface HelmOptions {
  readonly release?: string
  /** The URL of an API server. Default: none. */
  readonly server?: string
}

const VERBS = {
  lint: ['lint', '--strict'],
  template: ['template'],
  // templates look objects up, and nothing is changed
  try: ['install', '--dry-run=server'],
}

export async function helm(
  verb: keyof typeof VERBS,
  chart: Chart,
  values: Values,
  { release = 'mesh', server }: HelmOptions = {},
): Promise<Ran> {
  const program = await officialTool('helm')
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-helm-'))
  try {
    const file = join(dir, 'values.json')
    await writeFile(file, JSON.stringify(values))
    const args = [
      ...[...VERBS[verb], ...(verb === 'lint' ? [] : [release]), join(CHARTS, chart)],
      ...['--namespace', NAMESPACE, '--values', file],
      ...(server === undefined ? [] : ['--kube-apiserver', server]),
      ...(verb === 'template' ? ['--kube-version', KUBERNETES] : []),
    ]
    // it reads and writes nothing of the user
    const env = { PATH: process.env.PATH ?? '', HOME: dir, KUBECONFIG: join(dir, 'none') }
    return await runCommand([program, ...args], { env })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** @throws Error with what Helm says, when it refuses */
export async function render(
  chart: Chart,
  values: Values,
  options: HelmOptions = {},
): Promise<readonly KubeObject[]> {
  const { code, stdout, stderr } = await helm('template', chart, values, options)
  if (code !== 0) throw new Error(`${chart}: ${stderr}`)
  return loadAll(stdout).flatMap((each) => (each === null ? [] : [asKubeObject(each)]))
}

function asKubeObject(value: unknown): KubeObject {
  if (isKubeObject(value)) return value
  throw new TypeError(`no object of Kubernetes: ${JSON.stringify(value)}`)
}

function isKubeObject(value: unknown): value is KubeObject {
  return (
    typeof field(value, 'kind') === 'string' && typeof field(value, 'metadata.name') === 'string'
  )
}

/** The value at a dotted path; undefined when there is none. */
export function field(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    if (typeof at !== 'object' || at === null) return undefined
    return Object.entries(at).find(([key]) => key === name)?.[1]
  }, value)
}

/** @throws Error when there is not exactly one */
export function find(objects: readonly KubeObject[], kind: string, name?: string): KubeObject {
  const found = objects.filter(
    (each) => each.kind === kind && (name === undefined || each.metadata.name === name),
  )
  const [only] = found
  if (only === undefined || found.length > 1)
    throw new Error(`${found.length} of ${kind} ${name ?? ''}`)
  return only
}
