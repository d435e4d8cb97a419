/** Requests of acme at the egress port, each edited at random: what arrives is told, nothing goes elsewhere, and no credential goes on. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { edited, edits } from '../../test/mesh-gateway/egress/fuzz-targets.ts'
import { type AttackedMesh, openAttackedMesh } from './attacked-mesh.ts'
import type { Campaign, Report } from './campaign.ts'
import { requestThrough, sendToEgress } from './egress-client.ts'
import { issueToken } from './gateway-keys.ts'
import { createRandom, type Random } from './random.ts'
import { toldTimes } from './read-audit.ts'

const STEPS = 500
const AT_ONCE = 25

export const egressRequests: Campaign = {
  name: 'egress requests',
  async run(seed, deadlineMs, report) {
    await using world = await openAttackedMesh(report)
    await attack(world, seed, deadlineMs, report)
  },
}

async function attack(
  world: AttackedMesh,
  seed: number,
  deadlineMs: number,
  report: Report,
): Promise<void> {
  const { mesh, reached, destination } = world
  const random = createRandom(seed)
  const token = await issueToken(mesh)
  const changes = fc.sample(edits, { seed, numRuns: STEPS })
  for (let step = 0; step < STEPS && Date.now() < deadlineMs; step += AT_ONCE) {
    const some = changes.slice(step, step + AT_ONCE)
    const answers = await Promise.all(
      some.map((list) => {
        const request = edited(random.pick(seeds(destination, token, random)), list)
        return sendToEgress(mesh.gateway.egress, Buffer.from(request, 'latin1'))
      }),
    )
    for (const answer of answers) assert.match(answer, /^(?:HTTP\/1\.1 \d{3} |$)/)
    report.steps(some.length)
  }
  await world.unharmed()
  for (const arrived of reached)
    assert.equal(arrived.includes(token), false, 'a credential goes on')
  const lines = await world.end()
  const told = toldTimes(lines, ({ event, tenant }) => event === 'egress' && tenant === 'acme')
  assert.ok(reached.length <= told, `${reached.length} arrived, ${told} are told`)
}

function seeds(destination: string, token: string, random: Random): readonly string[] {
  const head = (method: string, more: string) =>
    requestThrough(destination, token, '/a').replace('GET', method).replace(/\r\n$/, `${more}\r\n`)
  return [
    head('GET', ''),
    `${head('POST', 'Content-Length: 5\r\n')}hello`,
    `${head('POST', 'Transfer-Encoding: chunked\r\n')}5\r\nhello\r\n0\r\n\r\n`,
    head('GET', `X-Long: ${'x'.repeat(random.int(20_000))}\r\n`),
    random.bytes(random.int(500)).toString('latin1'),
  ]
}
