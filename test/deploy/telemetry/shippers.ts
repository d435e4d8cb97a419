/** The OpenTelemetry Collector and Debian's rsyslog with the files of deploy/telemetry, in which a test changes places. */
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { type Program, startProgram } from '../../support/start-program.ts'
import { shipped } from '../shipped.ts'
import { goTool } from '../tools/go-tool.ts'

/** Where a shipper finds what it reads, and where it sends it. */
export interface Places {
  /** For its own state, which outlives it. */
  readonly dir: string
  /** Of audit.log and drops.jsonl. */
  readonly gatewayLogs: string
  /** Of openclaw-….log. */
  readonly openclawLogs: string
  /** host:port of VictoriaLogs. */
  readonly logs: string
  /** host:port of a store of spans. Default: one where nobody listens. */
  readonly traces?: string
}

export interface Shipper {
  readonly name: string
  /** Starts it where it was. */
  start(): Promise<Program>
}

/** The name in the mesh that both are told. */
export const MESH_AGENT_ID = 'oc-a'
const ENV = { MESH_AGENT_ID }

export interface CollectorShipper extends Shipper {
  /** Where it takes spans. */
  readonly tracesUrl: string
}

export async function collector(places: Places): Promise<CollectorShipper> {
  const command = goTool('otel-collector')
  const spans = `127.0.0.1:${await freePort()}`
  await mkdir(places.dir, { recursive: true })
  const config = join(places.dir, 'otel-collector.yaml')
  await writeFile(
    config,
    await shipped('telemetry/otel-collector.yaml', {
      '/var/lib/otelcol': join(places.dir, 'state'),
      '/var/log/clawmesh': places.gatewayLogs,
      '/tmp/openclaw': places.openclawLogs,
      '127.0.0.1:9428': places.logs,
      '127.0.0.1:4318': spans,
      // JSON is what the store of the tests reads
      'http://127.0.0.1:4319/v1/traces': `http://${places.traces ?? '127.0.0.1:1'}/v1/traces\n    encoding: json`,
    }),
  )
  return {
    ...{ name: 'the Collector', tracesUrl: `http://${spans}/v1/traces` },
    start: () =>
      startProgram({
        ...{ command, env: ENV, isReady: () => takesConnections(spans) },
        args: ['--config', config, '--feature-gates', 'stanza.synchronousLogEmitter'],
      }),
  }
}

export async function rsyslog(places: Places): Promise<Shipper> {
  const state = join(places.dir, 'state')
  await mkdir(state, { recursive: true })
  const [file, own] = [join(places.dir, 'rsyslog.conf'), join(places.dir, 'clawmesh.conf')]
  await writeFile(
    own,
    await shipped('telemetry/rsyslog.conf', {
      '/var/log/clawmesh': places.gatewayLogs,
      '/tmp/openclaw': places.openclawLogs,
      '127.0.0.1:9428': places.logs,
    }),
  )
  // as the file of Debian begins
  const globals = `global(workDirectory="${state}" maxMessageSize="128k")\n`
  await writeFile(file, `${globals}include(file="${own}")\n`)
  return {
    name: 'rsyslog',
    start: () =>
      startProgram({ command: 'rsyslogd', args: ['-n', '-iNONE', '-f', file], env: ENV }),
  }
}

async function takesConnections(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`tcp://${address}`)
  return await new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
