/** Debian's Prometheus, Alertmanager and nginx with the files of deploy/prometheus, in which a test changes addresses. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { isRecord } from '../../../scripts/dev/message.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Program, startProgram } from '../../support/start-program.ts'
import { shipped } from '../shipped.ts'

export interface Placed {
  /** host:port */
  readonly address: string
  close(): Promise<void>
}

export interface Webhook {
  readonly url: string
  /** Alerts that have arrived, with the time of the arrival, milliseconds since the epoch. */
  readonly alerts: readonly (Readonly<Record<string, unknown>> & { readonly arrivedMs: number })[]
  close(): Promise<void>
}

export async function startWebhook(): Promise<Webhook> {
  const alerts: (Record<string, unknown> & { arrivedMs: number })[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    const arrived: unknown[] = isRecord(body) && Array.isArray(body.alerts) ? body.alerts : []
    for (const alert of arrived)
      if (isRecord(alert)) alerts.push({ ...alert, arrivedMs: Date.now() })
    response.end()
  })
  const port = await listenOnFreePort(server)
  return { url: `http://127.0.0.1:${port}/alerts`, alerts, close: () => closeServer(server) }
}

export async function startAlertmanager(dir: string, webhook: string): Promise<Placed> {
  const address = `127.0.0.1:${await freePort()}`
  const file = join(dir, 'alertmanager.yml')
  await mkdir(dir, { recursive: true })
  await writeFile(
    file,
    await shipped('prometheus/alertmanager.yml', { 'http://127.0.0.1:9095/alerts': webhook }),
  )
  const program = await startProgram({
    command: 'prometheus-alertmanager',
    args: [
      `--config.file=${file}`,
      `--storage.path=${join(dir, 'data')}`,
      `--web.listen-address=${address}`,
      '--cluster.listen-address=',
    ],
    isReady: () => answersWell(`http://${address}/-/ready`),
  })
  return { address, close: () => program.close() }
}

/** nginx before the admin port, as deploy/prometheus/nginx-admin.conf has it. */
export async function startAdminProxy(options: {
  readonly dir: string
  /** host:port of the gateway's admin port. */
  readonly admin: string
  /** The identity directory of the gateway. */
  readonly identity: string
  readonly password: string
}): Promise<Placed> {
  const { dir, admin, identity, password } = options
  const address = `127.0.0.1:${await freePort()}`
  await mkdir(dir, { recursive: true })
  const { stdout: hash } = await promisify(execFile)('openssl', ['passwd', '-6', password])
  await writeFile(join(dir, 'passwords'), `prometheus:${hash}`)
  const site = await shipped('prometheus/nginx-admin.conf', {
    'listen 9443 ssl': `listen ${address} ssl`,
    '/etc/clawmesh/gateway': identity,
    '/etc/clawmesh/admin-passwords': join(dir, 'passwords'),
    'http://127.0.0.1:9090': `http://${admin}`,
  })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(dir, kind)};`)
    .join(' ')
  await writeFile(
    join(dir, 'nginx.conf'),
    `daemon off; user root; pid ${join(dir, 'pid')}; error_log stderr; worker_processes 1;\nevents {}\nhttp { access_log off; ${temporary}\n${site}}\n`,
  )
  const program: Program = await startProgram({
    command: 'nginx',
    args: ['-e', 'stderr', '-p', dir, '-c', join(dir, 'nginx.conf')],
    endSignal: 'SIGQUIT',
    isReady: async () => (await readFile(join(dir, 'pid'), 'utf8')).trim() !== '',
  })
  return { address, close: () => program.close() }
}

export async function answersWell(url: string): Promise<boolean> {
  const response = await fetch(url)
  await response.body?.cancel()
  return response.ok
}
