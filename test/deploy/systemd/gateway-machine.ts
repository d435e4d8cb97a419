/** A machine with the packages, the units of deploy/systemd, a CA and a configuration: as the guide has it set up. */
import { strict as assert } from 'node:assert'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../../support/wait-for.ts'
import { bootMachine, type Machine } from './machine.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Node runs the sources as they are; what is published is tried elsewhere. */
const PACKAGES = ['proto', 'agent-sdk', 'pki', 'mesh-gateway', 'node_modules'] as const
const UNITS = join(ROOT, 'deploy/systemd')
export const GATEWAY = 'clawmesh-gateway.service'

export interface GatewayMachine extends Machine {
  /** Of `systemctl show`. */
  property(unit: string, name: string): Promise<string>
  /** Resolves when it has the value. */
  becomes(unit: string, name: string, wanted: RegExp): Promise<string>
  /** Status and body of an answer of the gateway's admin port. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>
  /** Adds lines to a unit, in a section, for what comes after the next `systemctl restart`. */
  dropIn(unit: string, section: string, lines: string): Promise<void>
  /** Makes another version of the packages the current one. */
  install(version: string): Promise<void>
}

export const CONFIG = {
  trustDomain: 'mesh.internal',
  policy: { dir: 'policy' },
  egress: { listen: '127.0.0.1:8080' },
  delegation: { listen: '127.0.0.1:8443' },
  admin: { listen: '127.0.0.1:9090' },
  limits: {
    redis: {
      url: 'redis://127.0.0.1:6379',
      passwordFile: '/run/credentials/clawmesh-gateway.service/redis-password',
    },
    whenRedisIsAway: 'local',
  },
  reload: { pollMs: 200 },
  drainMs: 3_000,
}

/** Takes a minute the first time, since the tree is made. */
export async function bootGatewayMachine(): Promise<GatewayMachine> {
  const packages = PACKAGES.map((name) => [join(ROOT, name), `/usr/lib/clawmesh/checkout/${name}`])
  const machine = await bootMachine({
    mounts: { [process.execPath]: '/usr/bin/node', ...Object.fromEntries(packages) },
  })
  try {
    await setUp(machine)
    return { ...machine, ...viewOf(machine) }
  } catch (error) {
    await machine.close()
    throw error
  }
}

async function setUp(machine: Machine): Promise<void> {
  await install(machine, '0.1.0')
  for (const [dir, command] of [
    ['mesh-gateway', 'mesh-gateway'],
    ['pki', 'mesh-pki'],
  ] as const) {
    const bin = `../lib/clawmesh/current/${dir}/bin/${command}.cjs`
    await machine.must('ln', '-s', bin, `/usr/bin/${command}`)
  }
  for (const unit of await readdir(UNITS))
    await machine.write(
      `/etc/systemd/system/${unit}`,
      await readFile(join(UNITS, unit), 'utf8'),
      '644',
    )
  // a test machine may be much too busy
  for (const unit of [GATEWAY, 'clawmesh-renew.service'])
    await machine.write(
      `/etc/systemd/system/${unit}.d/busy.conf`,
      '[Service]\nTimeoutStartSec=5min\n',
      '644',
    )
  await machine.write('/etc/clawmesh/gateway.json', JSON.stringify(CONFIG), '644')
  await machine.write(
    '/etc/clawmesh/policy/acme.json',
    '{"tenant":"acme","egress":{"allow":["127.0.0.1:9999"]}}',
    '644',
  )
  await machine.write(
    '/etc/clawmesh/policy/_global.json',
    '{"egress":{"allowCidrs":["127.0.0.0/8"],"ports":[9999]}}',
    '644',
  )
  await machine.write('/etc/clawmesh/renew.env', 'GATEWAY=gw-1\nTENANTS=acme globex\n', '644')
  await machine.write('/etc/clawmesh/ca-passphrase', 'a passphrase for tests\n')
  await machine.write('/etc/clawmesh/redis-password', 'a password for tests\n')
  await machine.must(
    ...([
      'mesh-pki',
      'init',
      '--dir',
      '/var/lib/clawmesh-ca',
      '--trust-domain',
      'mesh.internal',
    ] as const),
    ...['--passphrase-file', '/etc/clawmesh/ca-passphrase'],
  )
  await machine.must('systemctl', 'daemon-reload')
}

/** As an upgrade does: another directory, and a link to it. */
async function install(machine: Machine, version: string): Promise<void> {
  const script = `
    cd /usr/lib/clawmesh
    [ -e "$1" ] || {
      mkdir "$1"
      cp -a checkout/mesh-gateway checkout/pki "$1"
      ln -s ../checkout/node_modules "$1"
    }
    sed -i "s/\\"version\\": \\"[^\\"]*\\"/\\"version\\": \\"$1\\"/" "$1/mesh-gateway/package.json"
    ln -sfn "$1" current`
  await machine.must('sh', '-ec', script, 'sh', version)
}

function viewOf(machine: Machine): Omit<GatewayMachine, keyof Machine> {
  const property: GatewayMachine['property'] = async (unit, name) =>
    (await machine.must('systemctl', 'show', '--value', '-p', name, unit)).trim()
  return {
    property,
    becomes: (unit, name, wanted) =>
      waitFor(
        `${name} of ${unit} to be ${wanted}`,
        async () => {
          const value = await property(unit, name)
          return wanted.test(value) && value
        },
        { everyMs: 50, withinMs: 90_000 },
      ),
    async get(path) {
      const ask = `fetch("http://127.0.0.1:9090${path}").then(async (r) =>
        console.log(JSON.stringify({ status: r.status, body: await r.text() })))`
      return JSON.parse(await machine.must('node', '-e', ask))
    },
    async dropIn(unit, section, lines) {
      await machine.write(
        `/etc/systemd/system/${unit}.d/test.conf`,
        `[${section}]\n${lines}\n`,
        '644',
      )
      await machine.must('systemctl', 'daemon-reload')
    },
    install: (version) => install(machine, version),
  }
}

/** The number of a metric with its labels. */
export async function metric(machine: GatewayMachine, name: string): Promise<number> {
  const { body } = await machine.get('/metrics')
  const line = body.split('\n').find((each) => each.startsWith(`${name} `))
  assert.ok(line !== undefined, `there is no ${name}`)
  return Number(line.slice(name.length))
}
