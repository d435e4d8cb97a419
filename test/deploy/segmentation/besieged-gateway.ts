/** The tests of rules for a gateway with two legs, by each tool: what arrives without them, with them, and after them. */
import { strict as assert } from 'node:assert'
import { attemptsOfAgent, LONE_FRAGMENT } from './attempts.ts'
import { type Rules, rulesOf, TOOLS } from './rules.ts'
import { createSiege, type Siege } from './siege.ts'
import { createTwoSidedWorld, type TwoSidedWorld } from './two-sided-world.ts'

const PORTS = [8080, 8443] as const
const ADDRESSES = ['10.77.0.1', 'fd77::1'] as const
/** What others have on such a host: it lets everything pass, and stays. */
const OF_OTHERS = `
  iptables -A FORWARD -j ACCEPT
  iptables -A INPUT -j ACCEPT
  nft add table inet others
  nft add chain inet others forward '{ type filter hook forward priority filter - 20; policy accept; }'
  nft add rule inet others forward accept`

/** @param name of the files in deploy/segmentation */
export function besiege(name: string): void {
  for (const tool of TOOLS)
    describe(`${name}, by ${tool}`, () => {
      let world: TwoSidedWorld
      let siege: Siege
      let rules: Rules

      before(async () => {
        world = await createTwoSidedWorld()
        await world.gateway.run('sh', '-ec', OF_OTHERS)
        rules = rulesOf(tool, { space: world.gateway, name })
        siege = createSiege({
          arrivals: world.arrivals,
          free: world.gatewayItself,
          freely: { kind: 'udp', to: '192.0.2.2', port: 53 },
        })
      })

      after(() => world?.close())

      it('closes every way that an agent has without it', async () => {
        const { attacker } = world
        const attempts = attemptsOfAgent(world.linkLocal)
        for (const attempt of [...attempts, LONE_FRAGMENT]) await siege.arrives(attacker, attempt)
        await attacker.begin({ kind: 'forget' }, '')
        const listed = await rules.list()
        await rules.load()
        const open: string[] = []
        for (const attempt of attempts) {
          const arrived = await siege.isDropped(attacker, attempt, rules)
          if (arrived.length > 0) open.push(`${attempt.name}: ${JSON.stringify(arrived)}`)
        }
        assert.deepEqual(open, [])
        await assertNothingOfAgents(world, siege)
        // held back or dropped: it is not counted where the kernel waits for the first one
        await attacker.begin(LONE_FRAGMENT, 'mark-0-')
        await assertNothingOfAgents(world, siege)
        await rules.remove()
        assert.equal(await rules.list(), listed)
        for (const attempt of attempts) await siege.arrives(attacker, attempt)
      })

      it('leaves the two ports of the gateway, and the gateway its way out', async () => {
        const { attacker, gatewayItself } = world
        await rules.load()
        for (const to of ADDRESSES)
          for (const port of PORTS) await siege.arrives(attacker, { kind: 'tcp', to, port })
        for (const to of ['192.0.2.2', '2001:db8::2'])
          await siege.arrives(gatewayItself, { kind: 'tcp', to, port: 80 })
        // the gateway calls an agent
        for (const to of ['10.77.0.2', 'fd77::2'])
          await siege.arrives(gatewayItself, { kind: 'tcp', to, port: 7443 })
        await rules.remove()
      })

      it('closes the way from outside to an agent', async () => {
        const toAgent = { kind: 'tcp', to: '10.77.0.2', port: 7443 } as const
        await siege.arrives(world.stranger, toAgent)
        await world.stranger.begin({ kind: 'forget' }, '')
        await rules.load()
        assert.deepEqual(await siege.isDropped(world.stranger, toAgent, rules), [])
        await rules.remove()
      })

      it('ends what an agent had open before', async () => {
        const { attacker } = world
        await attacker.begin({ kind: 'forget' }, '')
        await siege.arrives(attacker, { kind: 'tcp', to: '192.0.2.2', port: 80 })
        await siege.arrives(attacker, { kind: 'again' })
        await rules.load()
        assert.deepEqual(await siege.isDropped(attacker, { kind: 'again' }, rules), [])
        await rules.remove()
        await attacker.begin({ kind: 'forget' }, '')
      })
    })
}

/** All that the outside has seen since comes from the gateway itself. */
async function assertNothingOfAgents(world: TwoSidedWorld, siege: Siege): Promise<void> {
  const from = world.arrivals().length
  await siege.arrives(world.gatewayItself, { kind: 'udp', to: '192.0.2.2', port: 53 })
  const others = world
    .arrivals()
    .slice(from)
    .filter((each) => each.seen !== undefined && each.from !== '192.0.2.1')
  assert.deepEqual(others, [])
}
