/** deploy/segmentation/host-users.*: agents are users of the gateway's host, under attack by one of them. */
import { strict as assert } from 'node:assert'
import { ATTEMPTS_OF_USER } from './attempts.ts'
import { createHostWorld, type HostWorld } from './host-world.ts'
import { type Rules, rulesOf, TOOLS } from './rules.ts'
import { createSiege, type Siege } from './siege.ts'

for (const tool of TOOLS)
  describe(`host-users, by ${tool}`, () => {
    let world: HostWorld
    let siege: Siege
    let rules: Rules

    before(async () => {
      world = await createHostWorld()
      rules = rulesOf(tool, { space: world.host, name: 'host-users' })
      siege = createSiege({
        arrivals: world.arrivals,
        free: world.gateway,
        freely: { kind: 'udp', to: '192.0.2.2', port: 53 },
      })
    })

    after(() => world?.close())

    it('closes every way that a user of the agents has without it', async () => {
      const { attacker } = world
      for (const attempt of ATTEMPTS_OF_USER) await siege.arrives(attacker, attempt)
      await attacker.begin({ kind: 'forget' }, '')
      const listed = await rules.list()
      await rules.load()
      const open: string[] = []
      for (const attempt of ATTEMPTS_OF_USER) {
        const arrived = await siege.isDropped(attacker, attempt, rules)
        if (arrived.length > 0) open.push(`${attempt.name}: ${JSON.stringify(arrived)}`)
      }
      assert.deepEqual(open, [])
      await rules.remove()
      assert.equal(await rules.list(), listed)
      for (const attempt of ATTEMPTS_OF_USER) await siege.arrives(attacker, attempt)
    })

    it('leaves the two ports of the gateway, and every way to other users', async () => {
      await rules.load()
      for (const to of ['127.0.0.1', '::1'])
        for (const port of [8080, 8443])
          await siege.arrives(world.attacker, { kind: 'tcp', to, port })
      for (const attempt of ATTEMPTS_OF_USER.filter(({ kind }) =>
        /^(?:tcp|udp|fragments)$/.test(kind),
      ))
        await siege.arrives(world.gateway, attempt)
      await rules.remove()
    })

    it('answers nobody outside for an agent that listens there', async () => {
      const toAgent = { kind: 'tcp', to: '192.0.2.1', port: 7443 } as const
      await siege.arrives(world.stranger, toAgent)
      await rules.load()
      assert.deepEqual(await siege.isDropped(world.stranger, toAgent, rules), [])
      await rules.remove()
    })

    it('ends what an agent had open before', async () => {
      const { attacker } = world
      await attacker.begin({ kind: 'forget' }, '')
      await siege.arrives(attacker, { kind: 'tcp', to: '192.0.2.2', port: 80 })
      await rules.load()
      assert.deepEqual(await siege.isDropped(attacker, { kind: 'again' }, rules), [])
      await rules.remove()
      await attacker.begin({ kind: 'forget' }, '')
    })
  })
