/**
 * The container of a rendered Deployment as a process here: its volumes are laid out as kubelet lays them out, below a
 * directory, and its arguments start the gateway. Paths of the container are paths below that directory, and it
 * listens to free ports of loopback.
 */
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Ended, startProcess } from '../../../scripts/dev/child-process.ts'
import { freePorts } from '../../../scripts/dev/free-ports.ts'
import { gatewayCommand } from '../../support/bundled-gateway.ts'
import { field, find, type KubeObject } from './helm.ts'

/** Files of a ConfigMap or a Secret. */
export type Files = Readonly<Record<string, string>>

export interface MountedPod {
  readonly egress: string
  readonly health: string
  readonly admin: string
  lastLines(): readonly string[]
  /** A probe of the container, as kubelet makes it: the status. */
  probe(name: 'startupProbe' | 'readinessProbe' | 'livenessProbe'): Promise<number>
  /** What kubelet does when a ConfigMap has changed, or has come, or has gone: null. */
  update(volume: string, files: Files | null): Promise<void>
  stop(): Promise<Ended>
}

const ROOT = '/etc/clawmesh'

/**
 * @param secrets what is not rendered, by the names of Secrets and ConfigMaps; of a projected volume by its own
 * @param onLine called with each line that it prints
 */
export async function startMountedPod(
  objects: readonly KubeObject[],
  secrets: Readonly<Record<string, Files>>,
  dir: string,
  onLine?: (line: string) => void,
): Promise<MountedPod> {
  const pod = field(find(objects, 'Deployment'), 'spec.template.spec')
  const container = Object.values(Object(field(pod, 'containers')))[0]
  const here = (text: string) => text.replaceAll(ROOT, join(dir, 'root'))
  const maps = new Map(
    objects
      .filter(({ kind }) => kind === 'ConfigMap')
      .map((map) => [map.metadata.name, stringsOf(map.data)] as const),
  )
  const filesOf = (name: string) => maps.get(name) ?? secrets[name]
  const places = new Map<string, string>()
  for (const mount of Object.values(Object(field(container, 'volumeMounts'))))
    places.set(String(field(mount, 'name')), here(String(field(mount, 'mountPath'))))

  const update = async (volume: string, files: Files | null) => {
    const place = places.get(volume)
    if (place === undefined) throw new TypeError(`there is no volume ${volume}`)
    await swap(place, mapValues(files ?? {}, here))
  }
  for (const volume of Object.values(Object(field(pod, 'volumes')))) {
    const name = String(
      field(volume, 'configMap.name') ??
        field(volume, 'secret.secretName') ??
        field(volume, 'name'),
    )
    const files = filesOf(name)
    if (files === undefined && field(volume, 'configMap.optional') !== true)
      throw new Error(`kubelet would wait for ${name}`)
    await update(String(field(volume, 'name')), files ?? null)
  }
  const [egress, delegation, health, admin] = await freePorts(4)
  const gateway = startProcess({
    name: 'gateway',
    file: pathToFileURL(await gatewayCommand()),
    args: [
      ...Object.values(Object(field(container, 'args'))).map((each) => here(String(each))),
      ...[
        '--egress-listen',
        `127.0.0.1:${egress}`,
        '--delegation-listen',
        `127.0.0.1:${delegation}`,
      ],
      ...['--health-listen', `127.0.0.1:${health}`, '--admin-listen', `127.0.0.1:${admin}`],
    ],
    foreign: true,
    ...(onLine === undefined ? {} : { onLine }),
  })
  return {
    egress: `http://127.0.0.1:${egress}`,
    health: `http://127.0.0.1:${health}`,
    admin: `http://127.0.0.1:${admin}`,
    lastLines: () => gateway.lastLines(),
    probe: (name) => probe(field(container, name), `http://127.0.0.1:${health}`),
    update,
    stop: () => gateway.stop(15_000),
  }
}

/** The files of an identity or a key ring, as a Secret holds them. */
export async function readFiles(dir: string): Promise<Files> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith('.') && name !== 'ring.lock')
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))
  return Object.fromEntries(names.map((name, i) => [name, texts[i] ?? '']))
}

/** A new directory, one rename of the link to it, then links to the files that are new, and none to those that went. */
async function swap(place: string, files: Files): Promise<void> {
  const before = await readdir(place).catch((): string[] => [])
  const name = `..${process.hrtime.bigint()}`
  await mkdir(join(place, name), { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(place, name, file), text)
  await symlink(name, join(place, '..data_tmp'))
  await rename(join(place, '..data_tmp'), join(place, '..data'))
  for (const file of Object.keys(files))
    if (!before.includes(file)) await symlink(join('..data', file), join(place, file))
  for (const old of before)
    if (old !== '..data' && !(old in files)) await rm(join(place, old), { recursive: true })
}

async function probe(spec: unknown, base: string): Promise<number> {
  const path = field(spec, 'httpGet.path')
  if (typeof path !== 'string' || field(spec, 'httpGet.port') !== 'health')
    throw new Error(`no probe of the health port: ${JSON.stringify(spec)}`)
  const answer = await fetch(`${base}${path}`).catch(() => null)
  await answer?.text()
  return answer?.status ?? 0
}

function stringsOf(data: unknown): Files {
  return mapValues(Object(data), String)
}

function mapValues<T>(record: Readonly<Record<string, T>>, change: (value: T) => string): Files {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
