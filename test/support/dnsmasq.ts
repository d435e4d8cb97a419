/** A real DNS server, dnsmasq of Debian, with the records of a test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'

export interface Dnsmasq {
  /** `ip:port` */
  readonly server: string
  /** Replaces all records; answers from then on are the new ones. */
  setHosts(hosts: Readonly<Record<string, readonly string[]>>): Promise<void>
  close(): Promise<void>
}

export interface DnsmasqOptions {
  /** Names to addresses. */
  readonly hosts: Readonly<Record<string, readonly string[]>>
  /** `_service._tcp.name` to `target,port[,priority[,weight]]`. */
  readonly services?: Readonly<Record<string, readonly string[]>>
  /** Seconds. Default 1. */
  readonly ttl?: number
}

export async function startDnsmasq(options: DnsmasqOptions): Promise<Dnsmasq> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-dnsmasq-'))
  const hostsFile = join(dir, 'hosts')
  const port = await freePort()
  const write = (hosts: DnsmasqOptions['hosts']) =>
    writeFile(
      hostsFile,
      Object.entries(hosts)
        .flatMap(([name, ips]) => ips.map((ip) => `${ip} ${name}\n`))
        .join(''),
    )
  await write(options.hosts)
  const services = Object.entries(options.services ?? {}).flatMap(([name, targets]) =>
    targets.map((target) => `--srv-host=${name},${target}`),
  )
  const child = spawn(
    'dnsmasq',
    [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      `--port=${port}`,
      '--listen-address=127.0.0.1',
      '--bind-interfaces',
      '--no-resolv',
      '--no-hosts',
      `--addn-hosts=${hostsFile}`,
      `--local-ttl=${options.ttl ?? 1}`,
      '--local=/internal/',
      '--pid-file=',
      '--user=root',
      '--log-facility=-',
      ...services,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await untilItReads(child, hostsFile)
  return {
    server: `127.0.0.1:${port}`,
    async setHosts(hosts) {
      await write(hosts)
      const read = untilItReads(child, hostsFile)
      child.kill('SIGHUP')
      await read
    },
    async close() {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** dnsmasq says when it has read its records; from then on it answers with them. */
function untilItReads(child: ChildProcess, hostsFile: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const onData = (chunk: Buffer) => {
      said += chunk
      if (!said.includes(`read ${hostsFile}`)) return
      end()
      resolve()
    }
    const onExit = () => {
      end()
      reject(new Error(`dnsmasq ended: ${said}`))
    }
    const end = () => {
      child.stderr?.off('data', onData)
      child.off('exit', onExit)
      child.off('error', reject)
      child.stderr?.resume()
    }
    child.stderr?.on('data', onData)
    child.once('exit', onExit)
    child.once('error', reject)
  })
}
