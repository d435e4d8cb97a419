/** Debian's Prometheus with deploy/prometheus/prometheus.yml and rules.yml, and what a test asks it by its API. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { isRecord } from '../../../scripts/dev/message.ts'
import { startProgram } from '../../support/start-program.ts'
import { shipped } from '../shipped.ts'
import { answersWell } from './servers.ts'

export interface PrometheusOptions {
  readonly dir: string
  /** host:port of each. */
  readonly gateway: string
  readonly remote: string
  readonly openclaw: string
  readonly alertmanager: string
  /** Files that the configuration names, by their names. */
  readonly files: Readonly<Record<string, string>>
}

export interface Series {
  readonly labels: Readonly<Record<string, string>>
  /** Time in seconds since the epoch, and value. */
  readonly samples: readonly (readonly [number, number])[]
}

export interface Prometheus {
  readonly address: string
  /** Of an instant query: each series has one sample, or those of a range that the query asks for. */
  query(expr: string): Promise<Series[]>
  /** What is at this path of the API. */
  api(path: string): Promise<unknown>
  lastLines(): readonly string[]
  close(): Promise<void>
}

/** A rule that tells when the group of the alerts was evaluated. */
const EVALUATIONS = '\n      - record: test_evaluations\n        expr: time()\n'

export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { dir, gateway, remote, openclaw, alertmanager, files } = options
  const address = `127.0.0.1:${await freePort()}`
  await mkdir(dir, { recursive: true })
  const config = await shipped('prometheus/prometheus.yml', {
    'scrape_interval: 15s': 'scrape_interval: 1s',
    'evaluation_interval: 15s': 'evaluation_interval: 1s',
    "'127.0.0.1:9093'": `'${alertmanager}'`,
    "'127.0.0.1:9090'": `'${gateway}'`,
    "'gateway.mesh.internal:9443'": `'${remote}'`,
    "'127.0.0.1:18789'": `'${openclaw}'`,
  })
  await writeFile(join(dir, 'prometheus.yml'), config)
  await writeFile(join(dir, 'rules.yml'), `${await shipped('prometheus/rules.yml')}${EVALUATIONS}`)
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  const program = await startProgram({
    command: 'prometheus',
    args: [
      `--config.file=${join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=${address}`,
      '--enable-feature=exemplar-storage',
    ],
    isReady: () => answersWell(`http://${address}/-/ready`),
  })
  const api = async (path: string) => {
    const response = await fetch(`http://${address}/api/v1/${path}`)
    const body: unknown = await response.json()
    if (!isRecord(body) || body.status !== 'success')
      throw new Error(`Prometheus answered ${JSON.stringify(body)} to ${path}`)
    return body.data
  }
  return {
    address,
    api,
    async query(expr) {
      const data = await api(`query?query=${encodeURIComponent(expr)}`)
      const found: unknown[] = isRecord(data) && Array.isArray(data.result) ? data.result : []
      return found.filter(isRecord).map(seriesOf)
    },
    lastLines: () => program.lastLines(),
    close: () => program.close(),
  }
}

function seriesOf({ metric, value, values }: Readonly<Record<string, unknown>>): Series {
  const samples: unknown[] = Array.isArray(values) ? values : [value]
  return {
    labels: Object.fromEntries(
      Object.entries(isRecord(metric) ? metric : {}).map(([name, text]) => [name, String(text)]),
    ),
    samples: samples.filter(Array.isArray).map(([time, number]) => [Number(time), Number(number)]),
  }
}
