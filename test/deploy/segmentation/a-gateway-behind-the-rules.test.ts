/** A real gateway on a host with two legs and the rules: its agents get out through it, by its policy, and in no other way. */
import { strict as assert } from 'node:assert'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { issueToken } from '../../mesh-gateway/cli/run-here.ts'
import { gatewayCommand } from '../../support/bundled-gateway.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type Rules, rulesOf, TOOLS } from './rules.ts'
import { createTwoSidedWorld, type TwoSidedWorld } from './two-sided-world.ts'

const PAGE = 'http://192.0.2.2:8000/'
const CONFIG = {
  trustDomain: 'mesh.internal',
  identity: { dir: 'gateway' },
  policy: { dir: 'policy' },
  keys: { dir: 'keys' },
  audit: { file: 'audit.jsonl' },
  egress: { listen: '10.77.0.1:8080' },
  delegation: { listen: '10.77.0.1:8443' },
  admin: { listen: '127.0.0.1:9090' },
}

describe('A gateway behind the rules', () => {
  let world: TwoSidedWorld
  let ca: TestCa
  let token: string

  before(async () => {
    ca = await makeTestCa()
    const { dir } = ca
    await ca.issue('gateway', 'gateway')
    await mkdir(join(dir, 'policy'))
    await writeFile(join(dir, 'policy', '_global.json'), GLOBAL)
    await writeFile(join(dir, 'policy', 'acme.json'), ACME)
    await writeFile(join(dir, 'gateway.json'), JSON.stringify(CONFIG))
    world = await createTwoSidedWorld({ gatewayPorts: [] })
    world.outside.start('/usr/bin/python3', [
      '-m',
      'http.server',
      '8000',
      '--bind',
      '192.0.2.2',
      '--directory',
      join(dir, 'policy'),
    ])
    const command = await gatewayCommand()
    const start = 'exec "$0" "$1" start --config "$2" 2>&1'
    const args = ['-c', start, process.execPath, command, join(dir, 'gateway.json')]
    const said: string[] = []
    world.gateway.start('sh', args, (line) => said.push(line))
    const ready = ['curl', '--silent', '--fail', 'http://127.0.0.1:9090/ready'] as const
    await waitFor(
      'the gateway to be ready',
      () =>
        world.gateway.run(...ready).then(
          () => true,
          () => false,
        ),
      { everyMs: 200, withinMs: 90_000 },
    ).catch((cause) => {
      throw new Error(said.join('\n'), { cause })
    })
    token = await issueToken(dir, 'bot-01')
  })

  after(async () => {
    await world?.close()
    await ca?.close()
  })

  for (const tool of TOOLS)
    for (const name of ['two-legs', 'container'])
      it(`gives an agent what policy allows it, and nothing else, with ${name} by ${tool}`, async () => {
        const rules: Rules = rulesOf(tool, { space: world.gateway, name })
        assert.equal(await directly(world), '200')
        await rules.load()
        const before = await rules.dropped()
        assert.equal(await through(world, token, PAGE), '200')
        assert.equal(await through(world, token, 'http://192.0.2.3:8000/'), '403')
        assert.equal(await rules.dropped(), before)
        assert.equal(await directly(world), '000')
        assert.ok((await rules.dropped()) > before)
        await rules.remove()
      })
})

const GLOBAL = JSON.stringify({ egress: { allowCidrs: ['192.0.2.0/24'], ports: [80, 443, 8000] } })
const ACME = JSON.stringify({ tenant: 'acme', egress: { allow: ['192.0.2.2:8000'] } })

/** The status of the answer; 000 when there is none within two seconds. */
function directly(world: TwoSidedWorld): Promise<string> {
  return curl(world, ['--noproxy', '*', '--connect-timeout', '2', PAGE])
}

function through(world: TwoSidedWorld, token: string, url: string): Promise<string> {
  return curl(world, ['--proxy', `http://bot-01:${token}@10.77.0.1:8080`, url])
}

function curl({ agent }: TwoSidedWorld, args: readonly string[]): Promise<string> {
  const script = 'curl --silent --output /dev/null --write-out "%{http_code}" "$@" || :'
  return agent.run('sh', '-c', script, 'sh', ...args)
}
