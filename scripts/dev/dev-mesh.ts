/** A development mesh: its processes started in order, ended in the opposite order, and their orders carried out. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningProcess, startProcess } from './child-process.ts'
import { type DevFiles, DOCUMENTS_HOST, nameToResolve, writeDevFiles } from './dev-files.ts'
import {
  AGENTS,
  type DevIdentities,
  openDevIdentities,
  TENANT,
  TRUST_DOMAIN,
} from './dev-identities.ts'
import type { DevOptions } from './dev-options.ts'
import { documentPath } from './document-server.ts'
import { type Failure, type Outcome, type ProgressReport, readMessage } from './message.ts'
import { choosePorts, type Ports } from './ports.ts'
import { waitUntilReady } from './wait-until-ready.ts'
import type { ZoneRecords } from './zone.ts'

export interface DevMesh {
  readonly ports: Ports
  readonly files: DevFiles
  readonly identities: DevIdentities
  /** What the planner has the researcher read. */
  readonly url: string
  /** Has the planner delegate the reading of a document. */
  order(url: string, onProgress: (report: ProgressReport) => void): Promise<Outcome | Failure>
  /** Resolves with the first process that ends without having been asked to. */
  readonly died: Promise<Death>
  /** Ends everything, those that call before those that are called. */
  stop(): Promise<void>
}

export interface Death {
  readonly name: string
  readonly how: string
  readonly lastLines: readonly string[]
}

/** A process did not come up. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure'
  readonly death: Death

  constructor(death: Death) {
    super(`${death.name} ${death.how}`)
    this.death = death
  }
}

const RENEWAL_CHECK_MS = 60_000
const STOP_MS = 8_000
const MAIN = new URL('../../node_modules/.bin/mesh-gateway', import.meta.url)

/** @throws UsageError, StartFailure, MeshError */
export async function startDevMesh(
  options: DevOptions,
  onRenewalFailure: (error: unknown) => void,
): Promise<DevMesh> {
  const { dir, document } = options
  const ports = await choosePorts(options.portBase)
  const identities = await openDevIdentities({ dir })
  await identities.renew()
  const url =
    'url' in document
      ? document.url
      : `http://${DOCUMENTS_HOST}:${ports.documents}${documentPath(document.file)}`
  const files = await writeDevFiles({ dir, ports, url })

  const running: RunningProcess[] = []
  const deaths = Promise.withResolvers<Death>()
  const dead = new AbortController()
  const waiting = new Map<string, (port: number) => void>()
  let stopping = false
  let onPlanner: (message: ProgressReport | Outcome | Failure) => void = () => {}

  const launch = (name: string, file: URL, args: readonly string[], foreign = false) => {
    const child = startProcess({
      name,
      file,
      args,
      foreign,
      logFile: join(dir, 'logs', `${name}.log`),
      onMessage(value) {
        const message = readMessage(value)
        if (message?.kind === 'ready') waiting.get(name)?.(message.port)
        else if (name === 'planner' && message !== null && message.kind !== 'order')
          onPlanner(message)
      },
    })
    running.push(child)
    child.ended.then(({ code, signal }) => {
      if (stopping) return
      const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
      deaths.resolve({ name, how, lastLines: child.lastLines() })
      dead.abort()
    })
    return child
  }
  const script = (name: string, args: readonly string[]) => {
    const { promise, resolve } = Promise.withResolvers<number>()
    waiting.set(name, resolve)
    return { child: launch(name, new URL(`${name}.ts`, import.meta.url), args), ready: promise }
  }
  const orDeath = async <T>(work: Promise<T>): Promise<T> => {
    const failed = deaths.promise.then((death) => {
      throw new StartFailure(death)
    })
    return Promise.race([work, failed])
  }
  const stop = async () => {
    stopping = true
    clearInterval(renewal)
    // last started, first ended; the agents and the gateway let go of what they carry before the rest goes
    for (const child of running.toReversed()) await child.stop(STOP_MS)
  }
  const renewal = setInterval(() => {
    identities.renew().catch(onRenewalFailure)
  }, RENEWAL_CHECK_MS)

  try {
    const zone = JSON.stringify(records(ports, url))
    const servers = [script('dns', [String(ports.dns), zone]).ready]
    if ('file' in document)
      servers.push(script('documents', [String(ports.documents), document.file]).ready)
    await orDeath(Promise.all(servers))
    const researcher = script('researcher', agentArguments('researcher', identities, ports))
    await orDeath(researcher.ready)
    launch('gateway', MAIN, ['start', '--config', files.configFile], true)
    const signal = dead.signal
    await orDeath(waitUntilReady(`http://127.0.0.1:${ports.admin}/ready`, { signal }))
    const planner = script('planner', agentArguments('planner', identities, ports))
    await orDeath(planner.ready)
    await writeFile(
      join(dir, 'processes.json'),
      `${JSON.stringify(Object.fromEntries(running.map(({ name, pid }) => [name, pid])), null, 2)}\n`,
    )
    return {
      ports,
      files,
      identities,
      url,
      died: deaths.promise,
      stop,
      async order(wanted, onProgress) {
        const end = Promise.withResolvers<Outcome | Failure>()
        onPlanner = (message) => {
          if (message.kind === 'progress') onProgress(message)
          else end.resolve(message)
        }
        planner.child.send({ kind: 'order', url: wanted })
        return orDeath(end.promise)
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function agentArguments(
  name: (typeof AGENTS)[number],
  identities: DevIdentities,
  ports: Ports,
): string[] {
  const gateway = `127.0.0.1:${ports.delegation}`
  const own = name === 'researcher' ? [`127.0.0.1:${ports.researcher}`] : []
  return [identities.dirOf(name), gateway, `http://127.0.0.1:${ports.egress}`, ...own]
}

function records(ports: Ports, url: string): ZoneRecords {
  const loopback = ['127.0.0.1']
  const name = (host: string) => `${host}.${TENANT}.${TRUST_DOMAIN}`
  const asked = nameToResolve(url)
  return {
    addresses: {
      [`gateway.${TRUST_DOMAIN}`]: loopback,
      [DOCUMENTS_HOST]: loopback,
      ...Object.fromEntries(AGENTS.map((agent) => [name(agent), loopback])),
    },
    services: {
      [`_grpc._tcp.gateway.${TRUST_DOMAIN}`]: [
        { target: `gateway.${TRUST_DOMAIN}`, port: ports.delegation },
      ],
      [`_grpc._tcp.${name('researcher')}`]: [
        { target: name('researcher'), port: ports.researcher },
      ],
    },
    systemNames: asked === null ? [] : [asked],
  }
}
