/** What the rules drop is a line of JSON for each packet, by ulogd2 and deploy/segmentation/ulogd.conf. */
import { strict as assert } from 'node:assert'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { createHostWorld } from './host-world.ts'
import { rulesOf, TOOLS } from './rules.ts'
import { createTwoSidedWorld, type TwoSidedWorld } from './two-sided-world.ts'
import { type DropLine, startUlogd } from './ulogd.ts'

describe('What is dropped', () => {
  let dir: string
  let world: TwoSidedWorld
  let told: () => Promise<readonly DropLine[]>

  before(async function () {
    needProgram(this, 'ulogd')
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-drops-'))
    world = await createTwoSidedWorld()
    told = await startUlogd(world.gateway, dir)
  })

  after(async () => {
    await world?.close()
    if (dir !== undefined) await rm(dir, { recursive: true, force: true })
  })

  for (const tool of TOOLS)
    it(`is a line that tells who, where to and why, by ${tool}`, async () => {
      const rules = rulesOf(tool, { space: world.gateway, name: 'two-legs' })
      await rules.load()
      const known = (await told()).length
      const outside = '192.0.2.2'
      await world.attacker.begin({ kind: 'udp', to: outside, port: 4053 }, 'mark-1-')
      await world.attacker.begin(
        { kind: 'udp', from: 'fd77::2', to: '2001:db8::2', port: 4054 },
        'mark-2-',
      )
      await world.attacker.begin({ kind: 'udp', to: '10.77.0.1', port: 4055 }, 'mark-3-')
      const forged = { kind: 'raw', from: '198.51.100.9', to: outside, port: 4056 } as const
      await world.attacker.begin(forged, 'mark-4-')
      const lines = await waitFor('four lines', async () => {
        const added = (await told()).slice(known).filter((line) => 'dest_port' in line)
        return added.length >= 4 && added
      })
      const facts = lines.map((line) => [
        ...[String(line['oob.prefix']).trim(), line['oob.in'], line.src_ip],
        ...[line.dest_ip, line.dest_port],
      ])
      assert.deepEqual(facts, [
        ['clawmesh-drop forwarded', 'agents0', '10.77.0.2', outside, 4053],
        ['clawmesh-drop forwarded', 'agents0', 'fd77::2', '2001:db8::2', 4054],
        ['clawmesh-drop host', 'agents0', '10.77.0.2', '10.77.0.1', 4055],
        ['clawmesh-drop forged', 'agents0', '198.51.100.9', outside, 4056],
      ])
      assert.ok(lines.every((line) => Date.parse(String(line.timestamp)) > 0))
      await rules.remove()
    })

  it('is counted all, and logged no more than 100 times a second', async () => {
    const rules = rulesOf('nftables', { space: world.gateway, name: 'two-legs' })
    await rules.load()
    const known = (await told()).length
    const before = await rules.dropped()
    // the kernel's queue between two namespaces takes a thousand
    const flood = 800
    const beganMs = performance.now()
    await world.attacker.begin(
      { kind: 'udp', to: '192.0.2.2', port: 4057, times: flood },
      'mark-5-',
    )
    await waitFor('all to be counted', async () => (await rules.dropped()) - before >= flood)
    const seconds = (performance.now() - beganMs) / 1_000
    assert.equal((await rules.dropped()) - before, flood)
    const lines = (await told()).length - known
    assert.ok(lines > 0 && lines <= 201 + 100 * seconds, `${lines} lines in ${seconds} s`)
    await rules.remove()
  })
})

describe('What is dropped of a user', () => {
  it('is a line with the number of the user', async function () {
    needProgram(this, 'ulogd')
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-drops-'))
    const world = await createHostWorld()
    try {
      const lines = await startUlogd(world.host, dir)
      await rulesOf('nftables', { space: world.host, name: 'host-users' }).load()
      await world.attacker.begin({ kind: 'udp', to: '192.0.2.2', port: 4053 }, 'mark-1-')
      const [line] = await waitFor('a line', async () => {
        const all = await lines()
        return all.length > 0 && all
      })
      assert.equal(String(line?.['oob.prefix']).trim(), 'clawmesh-drop agent')
      assert.equal(line?.['oob.uid'], 2001)
    } finally {
      await world.close()
      await rm(dir, { recursive: true, force: true })
    }
  })
})
